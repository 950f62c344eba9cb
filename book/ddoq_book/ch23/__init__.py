"""Chapter 23: real photographs."""
