"""Chapter 17: quantization at work."""
