"""The profile of a notebook, and the code that it shows."""

from ddoq_book.notebook import listing, profile_of
from ddoq_core.config.profile import Profile


def test_a_notebook_gives_every_knob_in_its_namespace_and_nothing_else():
    namespace = {"ipc": [3], "n_samples": 10, "K": 5, "epochs": 7}
    assert profile_of(namespace) == Profile(ipc=[3], hard_ipc=[3], epochs=7)


def test_a_listing_is_the_text_of_the_function():
    assert listing(profile_of).data.startswith("```python\ndef profile_of(namespace: dict) -> Profile:\n")
    assert "    return profile.replace(" in listing(profile_of).data and listing(profile_of).data.endswith("\n```")
