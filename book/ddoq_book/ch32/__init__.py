"""Chapter 32: Figure 1."""
