"""The constants of the paper's statements, as printed, as corrected, and the sharp ones if known.

R is the radius of a ball around the support of mu, T the time of the noise, delta in [0, T) the time at which the
reverse process stops. Constants that overflow are given by their logarithm. Only variances matter: for a support with
diameter D in a ball of radius R_0 about any centre, R may be D / 2, except in `law_constant`, where it is (R_0 D /
2)^(1/2).
"""

import math

from .diffusion import Process


def log_printed_constant(process: Process, R: float, delta: float, T: float, d: int) -> float:
    """log C of Theorem 13 as printed in eq. 30: the integral has d / 2 too much, for a noise that cancels."""
    return log_pathwise_constant(process, R, delta, T) + d / 2 * (T - delta)


def log_pathwise_constant(process: Process, R: float, delta: float, T: float) -> float:
    """log C of eq. 29, corrected: two paths with equal noise part by at most this (Lemma 12); infinite at delta = 0."""
    _, beta, _ = process.bridge(delta, T)
    if delta == 0:
        return math.inf
    return math.log(beta) + R**2 * (process.signal_to_noise(delta) - process.signal_to_noise(T))


def law_constant(process: Process, R: float, delta: float, T: float) -> float:
    """Lambda: |E f(Y^x) - E f(Y^y)| <= L Lambda |x - y| for the reverse SDE and every L-Lipschitz f, sharp.

    Started at x, its law at delta is the bridge from x to the posterior of X_0, an exponential family in x whose mean
    moves with its covariance, at most R^2. So eq. 28 holds with Lambda and W_1, also at delta = 0.
    """
    alpha, beta, _ = process.bridge(delta, T)
    return beta + alpha * R**2 * process.decay(T) / process.variance(T)


def kl_constant(process: Process, R: float, delta: float, T: float) -> float:
    """c with KL(nu_delta || mu_delta) <= c W_2(mu_T, nu_T)^2, for any nu_T, also with atoms."""
    steepness, bridge = _slopes(process, R, delta, T)
    return (steepness**2 + bridge**2) / 2


def total_variation_constant(process: Process, R: float, delta: float, T: float) -> float:
    """c' <= c with TV(nu_delta, mu_delta) <= c' G for the Voronoi weights of a stationary grid: W_2^2 again, not W_2.

    It is a quarter of a bound on E|S^2 - E S^2|, where S = A + B is the slope of the log-likelihood in x, A that of the
    posterior with variance at most s^2, and B normal with variance b^2: the better of 2 (s^2 + b^2) and of three terms.
    """
    s, b = _slopes(process, R, delta, T)
    parts = 3 / 2 * s**2 + 2 * math.sqrt(2 / math.pi) * s * b + 4 * b**2 / math.sqrt(2 * math.pi * math.e)
    return min(kl_constant(process, R, delta, T), parts / 4)


def _slopes(process: Process, R: float, delta: float, T: float) -> tuple[float, float]:
    """Standard deviations of the two parts of the slope: of the posterior (at most), and of the bridge."""
    _, beta, v = process.bridge(delta, T)
    return R * process.decay(T) / process.variance(T), beta / math.sqrt(v) if delta else 0.0


def curvature_constant(process: Process, R: float, delta: float, T: float) -> float:
    """sup |Hess u| / L for u(x) = E[f(X_delta) | X_T = x] and every L-Lipschitz f.

    So |E_{mu_delta} f - E_{nu_delta} f| <= L/2 times this times G(x) for a stationary grid x: second order in K^(-1/d).
    """
    alpha, beta, v = process.bridge(delta, T)
    k = process.decay(T) / process.variance(T)
    smoothing = beta**2 * math.sqrt(2 / (math.pi * v)) if delta else 0.0
    return 3 / 2 * alpha * k**2 * R**3 + 2 * beta * k * R + smoothing


def renoised_total_variation(signal_to_noise: float) -> float:
    """phi(1) a^2/v: TV(S(nu_T), S(mu_T)) <= this times G for every Markov kernel S, sharp.

    nu_T is the noised law of a clean codebook whose points are the means of their cells, with the masses of the cells;
    its noise is that of mu_T. (a^2/v) E|N^2 - 1| / 2 bounds the second derivative of E f(a z + v^(1/2) N) in z, for
    0 <= f <= 1.
    """
    return signal_to_noise / math.sqrt(2 * math.pi * math.e)


def renoised_curvature(process: Process, T: float) -> float:
    """a^2 (2 / pi v)^(1/2): |E f(S(nu_T)) - E f(S(mu_T))| <= l/2 times this times G if f after S is l-Lipschitz."""
    return process.decay(T) ** 2 * math.sqrt(2 / (math.pi * process.variance(T)))


def flow_slope(process: Process, R: float, delta: float, T: float) -> float:
    """Slope at 0 of the probability-flow map from T to delta, for two atoms of equal mass at -R and R.

    At 0 the flow sees half of the worst score of Lemma 12 at all times, so the slope explodes as delta -> 0.
    """
    return math.exp((log_pathwise_constant(process, R, delta, T) + process.rate * (T - delta)) / 2)


def score_monotonicity(R: float, t: float) -> float:
    """Lemma 12: the eigenvalues of Hess log p_t are at most R^2 / t^2 - 1 / t, under Brownian motion."""
    return (R / t) ** 2 - 1 / t


def log_concave_noise(process: Process, R: float, T: float) -> bool:
    """Whether Lemma 12 proves that the law at T is log-concave: the noise is at least as large as the data."""
    return process.signal_to_noise(T) * R**2 <= 1


def empirical_gap(error: float, distance: float) -> float:
    """Theorem 3: the distortion under mu of an optimal quantizer of mu_n exceeds the least one by at most this.

    `error` is e*_K(mu), the root of the least distortion; `distance` is W_2(mu_n, mu).
    """
    return 4 * error * distance + 4 * distance**2


def ball_bound(d: int) -> float:
    """Zador's constant Q_d is at least the normalised second moment of a ball."""
    return d / (d + 2) / math.pi * _ball(d)


def random_coding_bound(d: int) -> float:
    """Zador's constant Q_d is at most the value for independent uniform points."""
    return _ball(d) / math.pi * math.gamma(1 + 2 / d)


def normal_norm(d: int) -> float:
    """|p|_{d/(d+2)} of N(0, I_d): K^(2/d) G tends to Q_d times this (Zador)."""
    return 2 * math.pi * ((d + 2) / d) ** ((d + 2) / 2)


def shannon_bound(d: int, K: float) -> float:
    """No K points quantize N(0, I_d) with less distortion than d K^(-2/d) (Shannon's distortion-rate function)."""
    return d * K ** (-2 / d)


def limit_exponent(d: int, alpha: float) -> float:
    """beta such that optimal grids with weights proportional to mu(C_i)^alpha tend to the law p^beta / int p^beta."""
    return (d + 2 * alpha) / (d + 2)


def _ball(d: int) -> float:
    """Gamma(1 + d/2)^(2/d): pi over it is the volume of the unit ball to the power 2/d."""
    return math.exp(2 / d * math.lgamma(1 + d / 2))
