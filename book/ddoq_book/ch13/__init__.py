"""Chapter 13: CLVQ and Lloyd's algorithm."""
