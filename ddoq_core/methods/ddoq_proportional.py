"""DDOQ with the weights of Algorithm 4, line 3: proportional to the counts, without the root of eq. 33."""

from dataclasses import replace

from .d4m import METHOD as D4M

METHOD = replace(D4M, name="ddoq_proportional", title="DDOQ, w ∝ v", reference="tan2025ddoq", weights="proportional")
