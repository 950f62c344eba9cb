"""The profile of a notebook."""

from ddoq_book.notebook import profile_of
from ddoq_core.config.profile import Profile


def test_a_notebook_gives_every_knob_in_its_namespace_and_nothing_else():
    namespace = {"ipc": [3], "n_samples": 10, "K": 5, "epochs": 7}
    assert profile_of(namespace) == Profile(ipc=[3], epochs=7)
