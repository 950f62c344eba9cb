"""Measurements of a run before students are trained: the prior, the codebooks, the distilled images."""
