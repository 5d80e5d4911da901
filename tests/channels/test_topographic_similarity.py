"""Topographic similarity: against scipy's distances, a slow Levenshtein's, and where it is undefined."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from parley.channels.diagnostics import _levenshtein, topographic_similarity

small = settings(max_examples=40, deadline=None)


def prefixes(num: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, 2, 5, generator=torch.Generator().manual_seed(seed))


def meanings(num: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(4, (num, 3), generator=torch.Generator().manual_seed(seed))


def every_meaning() -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(3), torch.arange(3), torch.arange(3))


def test_naming_each_attribute_is_perfectly_topographic() -> None:
    codes = (every_meaning() + 1) % 3
    assert topographic_similarity(every_meaning(), codes) == pytest.approx(1)
    words = ["".join("abcdefghi"[3 * place + v] for place, v in enumerate(row)) for row in codes.tolist()]
    assert topographic_similarity(every_meaning(), words) == pytest.approx(1)
    vectors = torch.nn.functional.one_hot(codes, 3).float()
    assert topographic_similarity(every_meaning(), vectors) == pytest.approx(1)


def test_a_holistic_code_is_not_topographic() -> None:
    drawn = torch.randint(64, (27, 3), generator=torch.Generator().manual_seed(1))
    assert abs(topographic_similarity(every_meaning(), drawn)) < 0.2


@small
@given(num=st.integers(4, 12), seed=st.integers(0, 99))
def test_topographic_similarity_is_spearman_s_correlation_of_scipy_s_distances(num: int, seed: int) -> None:
    facts, codes, vectors = meanings(num, seed), meanings(num, seed + 1), prefixes(num, seed)
    far = pdist(facts.numpy(), "hamming")
    for messages, distances in (
        (codes, pdist(codes.numpy(), "hamming")),
        (vectors, pdist(vectors.flatten(1).double().numpy(), "cosine")),
    ):
        found = topographic_similarity(facts, messages)
        if len(set(far)) > 1 and len(set(distances)) > 1:
            assert found == pytest.approx(spearmanr(far, distances).statistic, abs=1e-9)
        else:
            assert math.isnan(found)


def slow_levenshtein(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        slow_levenshtein(one[1:], other) + 1,
        slow_levenshtein(one, other[1:]) + 1,
        slow_levenshtein(one[1:], other[1:]) + (one[0] != other[0]),
    )


@small
@given(texts=st.lists(st.text("abé ", max_size=5), min_size=3, max_size=7))
def test_texts_are_as_far_apart_as_levenshtein_says(texts: list[str]) -> None:
    facts = meanings(len(texts))
    far = [(a != b).sum().item() for a, b in combinations(facts, 2)]
    distances = [slow_levenshtein(one, other) for one, other in combinations(texts, 2)]
    found = topographic_similarity(facts, texts)
    if len(set(far)) > 1 and len(set(distances)) > 1:
        assert found == pytest.approx(spearmanr(far, distances).statistic, abs=1e-9)
    else:
        assert math.isnan(found)


def test_levenshtein_by_published_examples() -> None:
    """The first is Levenshtein's usual example, the others of Rosetta Code and of Jurafsky and Martin."""
    known = {
        ("kitten", "sitting"): 3,
        ("saturday", "sunday"): 3,
        ("rosettacode", "raisethysword"): 8,
        ("intention", "execution"): 5,
        ("", "abc"): 3,
    }
    for (one, other), distance in known.items():
        for texts in ((one, other), (other, one)):
            assert _levenshtein(texts, torch.tensor([[0, 1]])).tolist() == [distance]


def test_many_texts_are_compared_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["abcd"[: 1 + index % 4] * (1 + index % 3) for index in range(20)]
    whole = topographic_similarity(meanings(20), texts)
    monkeypatch.setattr("parley.channels.diagnostics.PAIRS_AT_ONCE", 7)
    assert topographic_similarity(meanings(20), texts) == whole


def test_of_many_referents_always_the_same_are_compared() -> None:
    facts, codes = meanings(300), meanings(300, 1)
    sampled = topographic_similarity(facts, codes, most=40)
    assert sampled == topographic_similarity(facts, codes, most=40)
    assert sampled != topographic_similarity(facts, codes, most=41)
    assert topographic_similarity(facts[:40], codes[:40], most=40) == pytest.approx(
        topographic_similarity(facts[:40], codes[:40])
    )
    torch.manual_seed(3)
    before = torch.get_rng_state()
    topographic_similarity(facts, codes)
    assert torch.equal(torch.get_rng_state(), before)


def test_topographic_similarity_is_undefined_where_nothing_varies() -> None:
    facts = every_meaning()
    assert math.isnan(topographic_similarity(facts, torch.zeros(27, 2, dtype=torch.long)))
    assert math.isnan(topographic_similarity(facts, ["same"] * 27))
    assert math.isnan(topographic_similarity(facts, [""] * 27))
    assert math.isnan(topographic_similarity(torch.zeros_like(facts), facts))
    assert math.isnan(topographic_similarity(facts[:2], facts[:2])), "a single pair has no correlation"
    vectors = prefixes(27)
    vectors[3] = 0
    assert math.isnan(topographic_similarity(facts, vectors)), "a zero vector is at no distance"


def test_topographic_similarity_needs_referents_and_their_messages() -> None:
    with pytest.raises(ValueError, match="meanings must be at least 2, got 1"):
        topographic_similarity(meanings(1), ["a"])
    with pytest.raises(ValueError, match="messages must be as many as meanings, 3, got 2"):
        topographic_similarity(meanings(3), ["a", "b"])
    with pytest.raises(ValueError, match="most must be at least 2, got 1"):
        topographic_similarity(meanings(3), ["a", "b", "c"], most=1)


def test_single_symbols_are_messages_too() -> None:
    facts = torch.arange(4)[:, None]
    assert math.isnan(topographic_similarity(facts, torch.arange(4))), "all are equally far apart"
    assert topographic_similarity(meanings(9), torch.arange(9) // 3) == pytest.approx(
        topographic_similarity(meanings(9), (torch.arange(9) // 3)[:, None])
    )
