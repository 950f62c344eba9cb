"""DDOQ with the weights of Algorithm 4, line 3: proportional to the counts, without the root of eq. 33."""

from .d4m import distill
from .method import Method

METHOD = Method(
    "ddoq_proportional", "DDOQ, w ∝ v", rank=50, reference="tan2025ddoq", distill=distill, weights="proportional"
)
