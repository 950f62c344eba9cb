"""DDOQ (Tan & Slade): D4M's set, each image weighted by the mass of its Voronoi cell, by default with eq. 33."""

from dataclasses import replace

from ..config.profile import knob
from .d4m import METHOD as D4M


class Knobs:
    """The rule for the weights of the images."""

    weights: str | float = knob(
        "sqrt",
        "weights of the row ddoq: sqrt (eq. 33), proportional, uniform, or an exponent",
        like="sqrt|proportional|uniform",
    )


METHOD = replace(D4M, name="ddoq", title="DDOQ", reference="tan2025ddoq", weights=None)
