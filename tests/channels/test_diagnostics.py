"""Diagnostics of a channel: against second sources, against slow plain definitions, and where undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from parley.channels.diagnostics import (
    code_value_table,
    codes_in_use,
    effective_rank,
    norm_ratio,
    normalized_mutual_information,
    perplexity,
    prefix_cosine,
)

small = settings(max_examples=40, deadline=None)


def prefixes(num: int, seed: int = 0, slots: int = 2, width: int = 5) -> torch.Tensor:
    return torch.randn(num, slots, width, generator=torch.Generator().manual_seed(seed))


# prefix_cosine


@small
@given(num=st.integers(2, 9), seed=st.integers(0, 99))
def test_prefix_cosine_is_the_mean_over_all_pairs(num: int, seed: int) -> None:
    drawn = prefixes(num, seed)
    expected = 1 - pdist(drawn.flatten(1).double().numpy(), "cosine").mean()
    assert prefix_cosine(drawn) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0, 0.0], [0.0, 3.0]], 0.0),
        ([[1.0, 0.0], [-2.0, 0.0]], -1.0),
        ([[1.0, 0.0], [1.0, 1.0]], math.sqrt(0.5)),
        ([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]], 1.0),
        ([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], -1 / 3),
    ],
)
def test_prefix_cosine_by_hand(rows: list[list[float]], expected: float) -> None:
    assert prefix_cosine(torch.tensor(rows)[:, None]) == pytest.approx(expected, abs=1e-12)


def test_prefix_cosine_never_passes_1_by_rounding() -> None:
    assert all(prefix_cosine(prefixes(1, seed).expand(7, -1, -1)) <= 1 for seed in range(50))


def test_prefix_cosine_compares_whole_prefixes_and_not_slots() -> None:
    turned = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert prefix_cosine(turned) == pytest.approx(0)


def test_prefix_cosine_needs_no_square_of_the_messages() -> None:
    many = torch.ones(200_000, 1, 2)
    assert prefix_cosine(many) == pytest.approx(1)


def test_a_zero_prefix_points_nowhere() -> None:
    assert math.isnan(prefix_cosine(torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]])))


@pytest.mark.parametrize("num", [0, 1])
def test_measures_of_difference_need_two_prefixes(num: int) -> None:
    for measure in (prefix_cosine, effective_rank):
        with pytest.raises(ValueError, match=f"prefixes must be at least 2, got {num}"):
            measure(torch.ones(num, 2, 3))


# effective_rank


@pytest.mark.parametrize("directions", [1, 2, 3, 6])
def test_effective_rank_counts_equal_directions(directions: int) -> None:
    """Roy and Vetterli (2007), section 3: k equal singular values have effective rank k."""
    both_ways = torch.cat([torch.eye(6)[:directions], -torch.eye(6)[:directions]]) * 7
    assert effective_rank(both_ways.view(-1, 2, 3) + 5) == pytest.approx(directions, rel=1e-6)


@small
@given(num=st.integers(2, 9), seed=st.integers(0, 99))
def test_effective_rank_is_the_entropy_of_singular_values(num: int, seed: int) -> None:
    drawn = prefixes(num, seed)
    flat = drawn.reshape(num, -1).double().numpy()
    singular = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    share = singular / singular.sum()
    share = share[share > 1e-12]
    found = effective_rank(drawn)
    assert found == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-6)
    assert 1 - 1e-9 <= found <= min(num - 1, 10) + 1e-9
    assert effective_rank(drawn * 3 + 1) == pytest.approx(found, rel=1e-4)


def test_effective_rank_is_undefined_where_all_prefixes_are_alike() -> None:
    same = prefixes(1).expand(6, -1, -1)
    assert math.isnan(effective_rank(same))
    assert math.isnan(effective_rank(torch.zeros(3, 2, 2)))
    rounded = same * (1 + torch.finfo(torch.float32).eps * torch.randn(6, 2, 5, generator=torch.Generator()))
    assert math.isnan(effective_rank(rounded))
    assert effective_rank(same * (1 + 1e-5 * prefixes(6))) > 1


# norm_ratio


def test_norm_ratio_is_over_vectors_and_not_prefixes() -> None:
    vectors = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [6.0, 8.0]]])
    assert norm_ratio(vectors, 2.0) == pytest.approx((5 + 0 + 1 + 10) / 4 / 2)


@pytest.mark.parametrize("norm", [0.0, -1.0, math.nan])
def test_norm_ratio_needs_a_norm(norm: float) -> None:
    with pytest.raises(ValueError, match=f"embedding_norm must be above 0, got {norm}"):
        norm_ratio(torch.ones(1, 1, 1), norm)


def test_norm_ratio_needs_a_vector() -> None:
    with pytest.raises(ValueError, match=r"prefixes must hold at least 1 vector, got shape \(3, 0, 4\)"):
        norm_ratio(torch.ones(3, 0, 4), 1.0)


# perplexity and codes in use


@pytest.mark.parametrize(
    ("codes", "size", "expected"),
    [
        ([[0, 0], [0, 0]], 8, 1.0),
        ([[0, 1], [2, 3]], 4, 4.0),
        ([0, 0, 1, 1], 64, 2.0),
        ([0, 0, 0, 1], 2, 4 / 3**0.75),  # exp(H(1/4)) by hand
    ],
)
def test_perplexity_by_hand(codes: list[int], size: int, expected: float) -> None:
    assert perplexity(torch.tensor(codes), size) == pytest.approx(expected, rel=1e-12)


def test_perplexity_of_nothing_is_undefined() -> None:
    with pytest.raises(ValueError, match="perplexity needs at least one code, got none"):
        perplexity(torch.zeros(0, 4, dtype=torch.long), 8)


def test_codes_in_use_counts_each_once() -> None:
    assert codes_in_use(torch.tensor([[7, 0], [7, 7]]), 8) == 0.25
    assert codes_in_use(torch.arange(8), 8) == 1
    assert codes_in_use(torch.tensor([0]), 64) == 1 / 64


def test_codes_in_use_refuses_what_is_no_code() -> None:
    with pytest.raises(ValueError, match="codes_in_use needs at least one code, got none"):
        codes_in_use(torch.zeros(0, dtype=torch.long), 8)
    with pytest.raises(ValueError, match="codes must be from 0 to 7, got 8"):
        codes_in_use(torch.tensor([0, 8]), 8)
    with pytest.raises(ValueError, match="codes must be from 0 to 7, got -1"):
        codes_in_use(torch.tensor([-1, 8]), 8)


# normalised mutual information


@pytest.mark.parametrize(
    ("codes", "values", "expected"),
    # sklearn.metrics.normalized_mutual_info_score of scikit-learn 1.9.1; the first three are also in its docs
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([0, 0, 0, 0], [0, 1, 2, 3], 0.0),
        ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], 0.0),
        ([1, 1, 1, 2, 2, 2], [1, 1, 2, 2, 3, 3], 0.5158037429793889),
        ([0, 1, 2, 0, 3, 4, 5, 1], [1, 1, 0, 0, 2, 2, 2, 2], 0.5),
        ([0, 0, 1, 2], [0, 0, 1, 1], 0.8),
        ([7, 7, 7, 3, 3, 0, 0, 0, 5, 5], [0, 0, 1, 1, 1, 2, 2, 0, 2, 2], 0.5759466679735675),
        ([0] * 9 + [1], [0] * 9 + [1], 1.0),
        ([0] * 9 + [1], [0] * 8 + [1, 1], 0.4517427878747861),
    ],
)
def test_mutual_information_is_scikit_learn_s(codes: list[int], values: list[int], expected: float) -> None:
    for one, other in ((codes, values), (values, codes)):
        found = normalized_mutual_information(torch.tensor(one), torch.tensor(other))
        assert found == pytest.approx(expected, abs=1e-12)


def test_mutual_information_of_constants_is_undefined() -> None:
    assert math.isnan(normalized_mutual_information(torch.tensor([3, 3]), torch.tensor([1, 1])))


@small
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=2, max_size=30),
    st.permutations(range(9)),
)
def test_mutual_information_knows_no_names_of_codes(pairs: list[tuple[int, int]], names: list[int]) -> None:
    codes, values = torch.tensor(pairs).unbind(1)
    found = normalized_mutual_information(codes, values)
    renamed = normalized_mutual_information(torch.tensor(names)[codes + 4], values)
    assert math.isnan(found) == math.isnan(renamed)
    if not math.isnan(found):
        assert renamed == pytest.approx(found, abs=1e-12)
        assert 0 <= found <= 1 + 1e-12


# code_value_table


def test_the_table_counts_uses() -> None:
    table = code_value_table(torch.tensor([2, 0, 2, 2]), torch.tensor([0, 1, 0, 1]), 4, 2)
    assert table.tolist() == [[0, 1], [0, 0], [2, 1], [0, 0]]


def test_tables_refuse_what_does_not_fit() -> None:
    some, none = torch.tensor([0, 1]), torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match="codes must be at least 1, got none"):
        code_value_table(none, none, 2, 2)
    with pytest.raises(ValueError, match="codes must be at least 1, got none"):
        normalized_mutual_information(none, none)
    with pytest.raises(ValueError, match="codes must be from 0 to 0, got 1"):
        code_value_table(some, some, 1, 2)
    with pytest.raises(ValueError, match="values must be from 0 to 0, got 1"):
        code_value_table(some, some, 2, 1)
