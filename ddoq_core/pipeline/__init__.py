"""Algorithm 4, one module per step: teacher, encode, cluster, synthesize, relabel, train_student."""
