"""Chapter 12: the rate of quantization."""
