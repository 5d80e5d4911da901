"""Two one-sided tests against R and statsmodels."""

import pytest
from scipy.stats import binom

from parley.evaluation.statistics import equivalence

# (successes, n, reference, margin, p above, p below, p differs): R 4.2.2's binom.test, alternatives "less",
# "greater" and "two.sided".
BINOM_TEST = [
    (80, 400, 0.2, 0.05, 0.0108468960645, 0.00415597106303, 1.0),
    (92, 400, 0.2, 0.05, 0.19389473325, 1.54688413345e-05, 0.13381026576),
    (60, 400, 0.2, 0.05, 7.80076611274e-07, 0.521407771042, 0.0122588482525),
    (3, 20, 0.1, 0.3, 0.01596116279, 0.0, 0.444649849401),
    (10, 50, 0.2, 0.1, 0.0788506248231, 0.0245379357046, 1.0),
]

# (n, reference, margin, smallest, largest): statsmodels 0.15, binom_tost_reject_interval; where its smallest
# is above its largest, no count passes.
REJECT_INTERVAL = [
    (100, 0.2, 0.05, None),
    (200, 0.2, 0.05, (39, 39)),
    (400, 0.2, 0.05, (73, 85)),
    (100, 0.2, 0.1, (16, 22)),
    (50, 0.2, 0.1, None),
]


@pytest.mark.parametrize(("successes", "n", "reference", "margin", "above", "below", "differs"), BINOM_TEST)
def test_the_p_values_agree_with_r(successes, n, reference, margin, above, below, differs):
    found = equivalence(successes, n, reference=reference, margin=margin)
    assert (found.p_above, found.p_below) == pytest.approx((above, below), rel=1e-10)
    assert found.p_differs == pytest.approx(differs, rel=1e-10)
    assert found.equivalent == (max(above, below) < 0.05)


def test_the_level_decides():
    assert not equivalence(80, 400, reference=0.2, margin=0.05, alpha=0.01).equivalent
    assert equivalence(80, 400, reference=0.2, margin=0.05, alpha=0.02).equivalent


def accepted(n, reference, margin):
    """The counts of n that are equivalent."""
    return [
        count
        for count in range(n + 1)
        if equivalence(count, n, reference=reference, margin=margin).equivalent
    ]


@pytest.mark.parametrize(("n", "reference", "margin", "counts"), REJECT_INTERVAL)
def test_the_counts_that_pass_agree_with_statsmodels(n, reference, margin, counts):
    assert accepted(n, reference, margin) == ([] if counts is None else list(range(counts[0], counts[1] + 1)))


@pytest.mark.parametrize("true_rate", [0.1, 0.15, 0.25, 0.3])
def test_a_rate_at_the_margin_or_beyond_rarely_passes(true_rate):
    assert binom.pmf(accepted(400, 0.2, 0.05), 400, true_rate).sum() <= 0.05


def test_no_rate_lies_farther_below_than_zero():
    assert equivalence(0, 100, reference=0.1, margin=0.1).p_below == 0
    assert equivalence(0, 100, reference=0.1, margin=0.1).equivalent


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"successes": 51}, "successes must be from 0 to n = 50, got 51"),
        ({"reference": 0.0}, "reference must be between 0 and 1, got 0.0"),
        ({"reference": 1.0}, "reference must be between 0 and 1, got 1.0"),
        ({"margin": 0.0}, "margin must be above 0 and below 1 - reference = 0.8, got 0.0"),
        ({"margin": 0.8}, "margin must be above 0 and below 1 - reference = 0.8, got 0.8"),
        ({"alpha": 1.0}, "alpha must be between 0 and 1, got 1.0"),
    ],
)
def test_bad_arguments_raise(changed, message):
    arguments = {"successes": 10, "n": 50, "reference": 0.2, "margin": 0.1, "alpha": 0.05} | changed
    with pytest.raises(ValueError, match=message):
        equivalence(**arguments)
