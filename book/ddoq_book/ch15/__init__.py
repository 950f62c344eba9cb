"""Chapter 15: reverse diffusion."""
