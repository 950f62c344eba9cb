"""Chapter 34: ablations, and when weights matter."""
