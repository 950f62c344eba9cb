"""Student's t, with values from a table."""

import math

import numpy as np
import pytest

from ddoq_core.results.intervals import Mean, half_width, interval


def test_an_interval_is_that_of_student_and_a_single_class_has_none():
    values = np.array([1.0, 2.0, 3.0])
    assert half_width(values) == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert interval(-values) == "−2.00 ± 2.48"
    assert np.isnan(half_width(values[:1]))
    np.testing.assert_allclose(half_width(np.stack([values, 2 * values])), half_width(values) * np.array([1, 2]))


def test_of_many_values_the_interval_of_student_is_that_of_the_normal_law():
    values = np.linspace(-1, 1, 100_000) ** 3
    many, student = Mean.of_many(values), Mean.of(values)
    assert (many.value, many.n) == (student.value, student.n)
    assert many.half == pytest.approx(student.half, rel=1e-4)
    assert Mean.normal(2.0, 0.5, 9) == Mean(2.0, 0.98, 9)
