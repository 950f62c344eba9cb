"""The control `ddoq_permuted` with real pictures: medoids, with the weights of each class in another order."""

from dataclasses import replace

from .d4m_medoid import METHOD as MEDOIDS
from .ddoq_permuted import permuted

METHOD = replace(MEDOIDS, name="ddoq_medoid_permuted", title="DDOQ, medoids, weights permuted", weights=permuted)
