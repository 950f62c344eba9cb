"""Chapter 33: what it costs."""
