"""Algorithm 4, one module per step: datasets, prior, pretrain, teacher, encode, cluster, synthesize, relabel, train."""
