"""Theorem 5 with its sharp constant."""

import numpy as np
import pytest

from ddoq_book.ch14.lipschitz_trial import lipschitz_trial
from ddoq_core.randomness import numpy_rng


def test_the_distance_to_the_grid_attains_the_sharp_bound_of_theorem_5_and_no_function_exceeds_it():
    trial = lipschitz_trial(5, 300, numpy_rng(0, "test"))
    assert trial.worst == pytest.approx(trial.mean_distance)
    assert trial.random.max() < trial.mean_distance < trial.root_distortion
    assert trial.mean_distance / trial.root_distortion == pytest.approx(np.sqrt(3) / 2)
