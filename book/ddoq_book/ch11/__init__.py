"""Chapter 11: optimal quantization."""
