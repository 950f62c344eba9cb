"""Generative priors: latent diffusion models in diffusers' layout, and the one that a run trains itself."""
