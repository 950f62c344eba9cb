"""Chapter 31: Table 1."""
