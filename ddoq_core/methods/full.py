"""The full data set: the teacher's recipe on all real images, with the student's architecture. The ceiling."""

from ..pipeline.teacher import fit_classifier
from .method import Method

METHOD = Method("full", "Full data set", rank=90, train=fit_classifier, result="metrics.json")
