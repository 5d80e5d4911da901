"""A success rate whose episodes come in clusters: they share a context, or a trained codec."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.stats import t

from parley.evaluation.statistics.proportions import check_between_0_and_1


@dataclass(frozen=True, kw_only=True)
class ClusteredProportion:
    """A success rate with an interval that knows of clusters.

    Args:
        rate: share of successes over all episodes.
        num_clusters: G, at least 2.
        design_effect: the rate's estimated variance over that of as many independent episodes, rate x
            (1 - rate) / n: 1 if clusters do not matter, m if the m episodes of a cluster always agree. It can
            be below 1. NaN if the rate is 0 or 1.
        ci_low: lower end of the interval, 0 to 1. NaN if the rate is 0 or 1, or if all clusters have the same
            rate: then they show no variance to compute with, which does not mean that there is none.
        ci_high: upper end of the interval, 0 to 1; NaN as the lower.
    """

    rate: float
    num_clusters: int
    design_effect: float
    ci_low: float
    ci_high: float


def clustered(
    success: Bool[np.ndarray, " n"], clusters: Int[np.ndarray, " n"], *, confidence: float = 0.95
) -> ClusteredProportion:
    """Success rate over clusters drawn at random, with Wilson's interval at the effective sample size.

    The variance is that between clusters, linearised: G / (G - 1) times the sum over clusters of the square
    of sum(success - rate) / n. Wilson's formula then takes n over the design effect for n, and Student's
    quantile with G - 1 degrees of freedom for the normal one, so that few clusters make a wide interval.
    Whatever all clusters share, such as one pair of models, it does not see.

    Source: the variance is that of `svymean` in T. Lumley's R package survey; the effective sample size with
    Student's t is that of E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193-201, there with
    Clopper and Pearson's interval. Wilson's formula depends on quantile^2 / n alone, so that Student's t in
    it and a correction of the effective n by the square of the ratio of the quantiles are the same.

    Args:
        success: (n,) whether each episode succeeds.
        clusters: (n,) the cluster of each episode, by any number; at least 2 clusters.
        confidence: nominal coverage, between 0 and 1.

    Returns:
        The rate, its design effect and its interval.

    Raises:
        ValueError: if the arrays differ in shape, hold fewer than 2 clusters, or confidence is out of range.
    """
    check_between_0_and_1("confidence", confidence)
    if success.ndim != 1 or success.shape != clusters.shape:
        raise ValueError(
            f"success and clusters must be of the same shape (n,), got {success.shape} and {clusters.shape}"
        )
    names, of_cluster = np.unique(clusters, return_inverse=True)
    num_clusters, n = len(names), len(success)
    if num_clusters < 2:
        raise ValueError(f"clusters must name at least 2 clusters, got {num_clusters}")
    sizes = np.bincount(of_cluster)
    successes = np.bincount(of_cluster, weights=success).astype(np.int64)
    total = int(successes.sum())
    # n^2 times the linearised values: whole numbers, so that clusters of equal rates give exactly 0
    residuals = n * successes - total * sizes
    variance = num_clusters / (num_clusters - 1) * float((residuals / n**2) @ (residuals / n**2))
    rate = total / n
    design_effect = variance * n / (rate * (1 - rate)) if 0 < total < n else math.nan
    quantile = float(t.ppf((1 + confidence) / 2, num_clusters - 1))
    ci_low, ci_high = _wilson(rate, quantile**2 * design_effect / n)
    return ClusteredProportion(
        rate=rate,
        num_clusters=num_clusters,
        design_effect=design_effect,
        ci_low=ci_low,
        ci_high=ci_high,
    )


def _wilson(rate: float, weight: float) -> tuple[float, float]:
    """Wilson's ends, which depend on quantile^2 / n alone; NaN where that is unknown or 0."""
    if not weight > 0:
        return math.nan, math.nan
    centre = (rate + weight / 2) / (1 + weight)
    half_width = math.sqrt(weight * rate * (1 - rate) + weight**2 / 4) / (1 + weight)
    return centre - half_width, centre + half_width
