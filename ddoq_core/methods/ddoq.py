"""DDOQ (Tan & Slade): D4M's set, each image weighted by the Voronoi cell it stands for, by eq. 33 as a rule."""

from .d4m import distill
from .method import Method

METHOD = Method("ddoq", "DDOQ", rank=40, reference="tan2025ddoq", distill=distill, weights=None)
