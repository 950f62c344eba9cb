"""Kernel ridge regression on a distilled set, and kernels of wide networks with one or more hidden layers.

f(x) = K(x, S) (K(S, S) + lambda tr K(S, S) / n)^-1 Y: the prediction for a real image from the distilled images S and
their labels Y, real numbers for each class. Everything is in float64, since the systems are badly conditioned.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

WEIGHT_VARIANCE, BIAS_VARIANCE = 2.0, 0.01  # of KIP's networks
EDGE = 1e-14  # distance of cosines from 1, where the derivative of arccos is infinite


def centred_one_hot(labels: Int64[Tensor, " n"], n_classes: int) -> Float64[Tensor, "n C"]:
    """Targets of regression: 1 - 1/C for the class, -1/C for the others."""
    return F.one_hot(labels, n_classes).double() - 1 / n_classes


def ridge_prediction(
    K_ts: Float[Tensor, "m n"], K_ss: Float[Tensor, "n n"], labels: Float[Tensor, "n C"], ridge: float
) -> Float[Tensor, "m C"]:
    """Predictions of m images from n distilled ones; the ridge is a share of the mean of the kernel's diagonal."""
    return K_ts @ torch.linalg.solve(_with_ridge(K_ss, ridge), labels)


def solved_labels(
    K_ts: Float[Tensor, "m n"], K_ss: Float[Tensor, "n n"], targets: Float[Tensor, "m C"], ridge: float
) -> Float[Tensor, "n C"]:
    """Labels of the distilled images with the least squared error on m real ones (label solve): a linear system."""
    operator = torch.linalg.solve(_with_ridge(K_ss, ridge), K_ts.mT).mT
    solution = torch.linalg.lstsq(
        operator.cpu(), targets.cpu(), driver="gelsd"
    ).solution  # for any rank, on the CPU only
    return solution.to(targets)


def _with_ridge(K: Float[Tensor, "n n"], ridge: float) -> Float[Tensor, "n n"]:
    return K + ridge * K.diagonal().mean() * torch.eye(len(K)).to(K)


def wide_kernels(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], hidden: int = 1
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    """NNGP and NTK of infinitely wide ReLU networks (weights of variance 2 / fan-in, biases of variance 0.01).

    Cho and Saul (2009) for a layer's two expectations, Jacot et al. (2018) for the recursion. The last layer is linear.
    """
    d = a.shape[1]
    sigma = WEIGHT_VARIANCE * a @ b.mT / d + BIAS_VARIANCE
    of_a, of_b = (WEIGHT_VARIANCE * x.square().sum(1) / d + BIAS_VARIANCE for x in (a, b))
    theta = sigma
    for _ in range(hidden):
        scale = (of_a[:, None] * of_b).sqrt()
        cosine = (sigma / scale).clamp(-1 + EDGE, 1 - EDGE)
        angle = cosine.arccos()
        slope = (math.pi - angle) / (2 * math.pi)  # E relu'(u) relu'(v)
        product = scale * ((1 - cosine.square()).sqrt() / (2 * math.pi) + slope * cosine)  # E relu(u) relu(v)
        sigma = WEIGHT_VARIANCE * product + BIAS_VARIANCE
        theta = sigma + WEIGHT_VARIANCE * theta * slope
        of_a, of_b = (WEIGHT_VARIANCE * x / 2 + BIAS_VARIANCE for x in (of_a, of_b))
    return sigma, theta


def half_squares(predicted: Float[Tensor, "m C"], targets: Float[Tensor, "m C"]) -> Float[Tensor, ""]:
    """Half the squared distance, as a mean over images."""
    return (predicted - targets).square().sum(1).mean() / 2
