"""A prior of random weights, which the tests of this chapter share."""

import pytest

from ddoq_core.priors.dit import DiTPrior

from ...tiny import random_prior


@pytest.fixture(scope="module")
def prior() -> DiTPrior:
    """A prior of random weights."""
    return random_prior()
