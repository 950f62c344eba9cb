"""Chapter 14: barycenter against optimal quantizer."""
