"""DDOQ with real pictures: the medoids of the cells, weighted by eq. 33."""

from dataclasses import replace

from .d4m_medoid import METHOD as MEDOIDS

METHOD = replace(MEDOIDS, name="ddoq_medoid", title="DDOQ, medoids", reference="tan2025ddoq", weights="sqrt")
