"""Chapter 22: ImageNet-1K."""
