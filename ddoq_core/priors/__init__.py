"""Generative priors: latent diffusion models in diffusers' layout, and the one that is fitted on the spot."""
