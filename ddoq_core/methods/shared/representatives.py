"""Three greedy rules on features that choose the representatives of a class.

In: features of the images of one class. Out: rows of the chosen images, in the order of the choice, so a larger choice
begins with a smaller one.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...quantization.voronoi import squared_distances


def herded(features: Float[Tensor, "n d"], k: int) -> Int64[Tensor, " k"]:
    """Herding (Welling 2009): greedily keep the mean of the chosen near the mean of all.

    The i-th choice is argmin_x |i mu - sum of the chosen - phi(x)|; the first is the point nearest to the mean. No
    point is chosen twice.

    Args:
        k: at most n.
    """
    mean, total, free = features.mean(0), torch.zeros_like(features[0]), torch.ones(len(features)).to(features)
    chosen = []
    for i in range(1, k + 1):
        gap = (i * mean - total - features).square().sum(1)
        chosen.append(int(torch.where(free > 0, gap, torch.inf).argmin()))
        total, free[chosen[-1]] = total + features[chosen[-1]], 0
    return torch.tensor(chosen)


def spread_out(features: Float[Tensor, "n d"], k: int, first: int | None = None) -> Int64[Tensor, " k"]:
    """k-centre greedy (Sener and Savarese 2018): repeatedly the point farthest from the chosen ones.

    The largest distance to the chosen is at most twice the optimum (Gonzalez 1985).

    Args:
        first: the first choice; None is the point nearest to the mean.
    """
    start = squared_distances(features, features.mean(0, keepdim=True))[:, 0].argmin() if first is None else first
    chosen = [int(start)]
    nearest = squared_distances(features, features[chosen])[:, 0]
    nearest[chosen[0]] = -1  # a point that coincides with a chosen one ranks before the chosen ones
    for _ in range(1, k):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, squared_distances(features, features[chosen[-1:]])[:, 0])
        nearest[chosen] = -1
    return torch.tensor(chosen)


def facilities(features: Float[Tensor, "n d"], k: int) -> tuple[Int64[Tensor, " k"], Int64[Tensor, " k"]]:
    """Greedy facility location (CRAIG): maximise sum_i max_{j in S} (d_max - |x_i - x_j|).

    The objective is monotone and submodular, so the greedy value is at least 1 - 1/e of the optimum.

    Returns:
        The chosen points, and the number of points that each serves, that is, to which it is the nearest chosen point.
        These numbers sum to n, and every chosen point serves at least itself.
    """
    distance = squared_distances(features, features).sqrt()
    distance.fill_diagonal_(0)
    served, chosen = torch.full_like(distance[0], float(distance.max())), []
    for _ in range(k):
        gain = (served[:, None] - distance).clamp_min_(0).sum(0)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        served = torch.minimum(served, distance[:, chosen[-1]])
    of_chosen = distance[:, chosen]
    of_chosen[chosen, torch.arange(k)] = -1  # each chosen point serves itself, even if it coincides with another
    return torch.tensor(chosen), torch.bincount(of_chosen.argmin(1), minlength=k)
