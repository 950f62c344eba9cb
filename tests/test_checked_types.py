"""While tests run, what every function of the package takes and returns is checked against its annotations."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from ddoq_core.quantization.clvq import power_steps
from ddoq_core.quantization.voronoi import Cells, refilled


@pytest.mark.parametrize("n", [3, 4])
def test_labels_of_another_number_of_samples_are_an_error(n):
    masses, labels, cost = torch.ones(2), torch.zeros(n, dtype=torch.int64), torch.ones(3)
    if n == 3:
        assert len(refilled(masses, labels, cost)) == 3
    else:
        with pytest.raises(TypeCheckError, match="cost"):
            refilled(masses, labels, cost)


def test_a_field_of_another_shape_is_an_error():
    with pytest.raises(TypeCheckError, match="sums"):
        Cells(torch.ones(2), torch.ones(3, 2), torch.zeros(5, dtype=torch.int64), torch.ones(5), 1.0)


@pytest.mark.parametrize("number", [3, np.int64(3), 3.0, "3"])
def test_a_whole_number_of_numpy_is_one_and_a_fraction_or_a_text_is_not(number):
    if isinstance(number, (int, np.integer)):
        assert power_steps(number)(np.zeros(1))[0] == 2**-0.7
    else:
        with pytest.raises(TypeCheckError, match="K"):
            power_steps(number)
