"""Data sets: one contract for digits, CIFAR and folders of photographs, and their loaders."""
