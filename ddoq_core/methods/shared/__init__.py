"""What several rows of Table 1 share: an augmentation, an unrolled training, distances, kernels, representatives."""
