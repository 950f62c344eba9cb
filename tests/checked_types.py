"""The check of types and shapes while tests run: every annotation of ddoq_core, a whole number being a number too."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
