"""Which points stand for all: three greedy rules against what can be said of them by hand and by brute force."""

import itertools
import math

import pytest
import torch

from ddoq_core.methods.shared.representatives import facilities, herded, spread_out
from ddoq_core.randomness import torch_rng


def cloud(n: int, d: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch_rng(seed, "cloud"))


def test_herding_begins_with_the_point_nearest_to_the_mean_and_not_with_the_farthest():
    x = cloud(50)
    assert herded(x, 1).tolist() == [int((x - x.mean(0)).norm(dim=1).argmin())]


def test_the_mean_of_herded_points_is_nearer_to_the_mean_than_that_of_as_many_random_ones():
    x = cloud(200, 5)
    gap = (x[herded(x, 20)].mean(0) - x.mean(0)).norm()
    drawn = [(x[torch.randperm(200, generator=torch_rng(i, "r"))[:20]].mean(0) - x.mean(0)).norm() for i in range(20)]
    assert gap < 0.3 * min(drawn)


def test_all_points_herded_are_all_points_once():
    assert herded(cloud(9), 9).sort().values.tolist() == [*range(9)]


@pytest.mark.parametrize("seed", range(5))
def test_the_radius_of_k_centre_greedy_is_at_most_twice_the_least(seed):
    x = cloud(12, seed=seed)
    distance = torch.cdist(x, x)
    radius = distance[:, spread_out(x, 3)].min(1).values.max()
    least = min(distance[:, list(some)].min(1).values.max() for some in itertools.combinations(range(12), 3))
    assert least <= radius <= 2 * least


def test_k_centre_begins_near_the_mean_or_where_it_is_told_and_goes_to_the_farthest_point():
    x = torch.tensor([[0.0], [1.0], [2.5], [10.0]], dtype=torch.float64)
    assert spread_out(x, 3).tolist() == [2, 3, 0]
    assert spread_out(x, 2, first=1).tolist() == [1, 3]


@pytest.mark.parametrize("seed", range(5))
def test_facility_location_has_at_least_the_share_of_the_best_that_submodularity_promises(seed):
    x = cloud(12, seed=seed)
    distance = torch.cdist(x, x)

    def worth(some: list[int]) -> float:
        return float((distance.max() - distance[:, some]).max(1).values.sum())

    best = max(worth(list(some)) for some in itertools.combinations(range(12), 3))
    assert worth(facilities(x, 3)[0].tolist()) >= (1 - 1 / math.e) * best


def test_every_point_is_served_once_by_its_nearest_facility():
    x = cloud(40)
    chosen, served = facilities(x, 4)
    assert served.sum() == 40
    assert served.tolist() == torch.bincount(torch.cdist(x, x[chosen]).argmin(1), minlength=4).tolist()


def test_points_that_coincide_are_no_trouble_to_any_rule():
    x = torch.zeros(4, 2, dtype=torch.float64)
    assert len(set(herded(x, 4).tolist())) == len(set(spread_out(x, 4).tolist())) == 4
    chosen, served = facilities(x, 4)
    assert len(set(chosen.tolist())) == 4 and served.tolist() == [1, 1, 1, 1]


def test_a_larger_choice_begins_with_a_smaller_one():
    x = cloud(30)
    for rule in (herded, spread_out, lambda x, k: facilities(x, k)[0]):
        assert rule(x, 8)[:3].equal(rule(x, 3))
