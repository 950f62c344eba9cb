"""Parts shared by several rows of Table 1: augmentation, unrolled training, distances, kernels, representatives."""
