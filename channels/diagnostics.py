"""Diagnostics of what crosses a channel: do messages differ, are codes used, do codes follow meanings?

Pure functions of messages, codes and prefixes in eval mode. What is undefined is NaN, and too little to
measure raises. Beside the names of channels/base.py: n messages, A attributes of a referent, K codes of a
codebook, V values of an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor

UNDEFINED = float("nan")
PAIRS_AT_ONCE = 512
ROUNDING = 8  # spread below this many units of relative rounding is none


def prefix_cosine(prefixes: Float[Tensor, "n k E"]) -> float:
    """Mean cosine of two prefixes, each flattened, over all n (n - 1) / 2 pairs of messages.

    With unit vectors u_i the mean is (|sum u_i|^2 - n) / (n (n - 1)), so no n x n matrix is built. Near 1 all
    prefixes point the same way, which may prime a receiver but hardly tells it anything: the anisotropy of
    Ethayarajh (2019, EMNLP), of messages instead of words.

    Args:
        prefixes: what n receivers would get, n at least 2.

    Returns:
        -1 / (n - 1) to 1, without unit; NaN if a prefix is zero, which points nowhere.

    Raises:
        ValueError: if there are fewer than 2 prefixes.
    """
    flat = _at_least_two("prefixes", prefixes).flatten(1).double()
    units = flat / flat.norm(dim=1, keepdim=True)
    num = len(units)
    mean = (units.sum(0).square().sum() - num) / (num * (num - 1))
    return float(mean.clamp(max=1))  # rounding alone can pass 1


def effective_rank(prefixes: Float[Tensor, "n k E"]) -> float:
    """How many directions prefixes differ in: exp of the entropy of their normalised singular values.

    exp(-sum p_i ln p_i) with p_i = s_i / sum s_j, of the flattened prefixes less their mean (Roy and
    Vetterli, 2007, EUSIPCO).

    Args:
        prefixes: what n receivers would get, n at least 2.

    Returns:
        1 to min(n - 1, k E), in directions; NaN if all prefixes are alike but for rounding, which leaves no
        direction to count.

    Raises:
        ValueError: if there are fewer than 2 prefixes.
    """
    flat = _at_least_two("prefixes", prefixes).flatten(1).double()
    spread = flat - flat.mean(0)
    if spread.norm() <= ROUNDING * torch.finfo(prefixes.dtype).eps * flat.norm():
        return UNDEFINED
    singular = torch.linalg.svdvals(spread)
    return _perplexity_of(singular / singular.sum())


def norm_ratio(prefixes: Float[Tensor, "n k E"], embedding_norm: float) -> float:
    """Mean L2 norm of a prefix's vectors over that of the receiver's token embeddings.

    mean |v| / embedding_norm. Far from 1 the receiver gets vectors of a length it has never read.

    Args:
        prefixes: what n receivers would get, at least one vector.
        embedding_norm: mean L2 norm of the receiver's token embeddings, above 0.

    Returns:
        At least 0, without unit.

    Raises:
        ValueError: if there is no vector, or the norm is not above 0.
    """
    if not embedding_norm > 0:
        raise ValueError(f"embedding_norm must be above 0, got {embedding_norm}")
    if prefixes.numel() == 0:
        raise ValueError(f"prefixes must hold at least 1 vector, got shape {tuple(prefixes.shape)}")
    return float(prefixes.double().norm(dim=-1).mean()) / embedding_norm


def perplexity(codes: Int[Tensor, "*shape"], codebook_size: int) -> float:
    """Exp of the entropy (nats) of code use: 1 if one code is used, codebook_size if all are, equally.

    exp(-sum p_c ln p_c) over the share p_c of each code, as in van den Oord et al. (2017, NeurIPS).

    Raises:
        ValueError: if there are no codes.
    """
    if codes.numel() == 0:
        raise ValueError("perplexity needs at least one code, got none")
    _check_indices("codes", codes, codebook_size)
    _, counts = torch.unique(codes, return_counts=True)  # a codebook may have more codes than memory holds
    return _perplexity_of(counts.double() / codes.numel())


def codes_in_use(codes: Int[Tensor, "*shape"], codebook_size: int) -> float:
    """Share of a codebook's codes that are used at least once: |{c}| / K.

    Args:
        codes: at least one, each from 0 to K - 1.
        codebook_size: K.

    Returns:
        1 / K to 1, without unit.

    Raises:
        ValueError: if there are no codes, or one is out of range.
    """
    if codes.numel() == 0:
        raise ValueError("codes_in_use needs at least one code, got none")
    _check_indices("codes", codes, codebook_size)
    return len(torch.unique(codes)) / codebook_size


def normalized_mutual_information(codes: Int[Tensor, " n"], values: Int[Tensor, " n"]) -> float:
    """How much codes tell about values: 2 I(c; v) / (H(c) + H(v)), entropies by the observed shares.

    Normalised by the arithmetic mean, as in Danon et al. (2005, J. Stat. Mech. P09008) and scikit-learn. The
    estimate is biased upwards: with K codes and V values, independent ones show about (K - 1) (V - 1) / (2 n)
    nats of I (Miller, 1955), so compare with what shuffled values show.

    Args:
        codes: at least one.
        values: of the same n referents.

    Returns:
        0 to 1, without unit; NaN if neither codes nor values vary (scikit-learn says 1 there).

    Raises:
        ValueError: if there are no codes.
    """
    _check_some(codes)
    different, rows = torch.unique(codes, return_inverse=True)
    kinds, columns = torch.unique(values, return_inverse=True)
    joint = code_value_table(rows, columns, len(different), len(kinds)).double() / len(codes)
    own = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
    if own == 0:
        return UNDEFINED
    shared = max(0.0, own - _entropy(joint))  # rounding alone can fall below 0
    return 2 * shared / own


def code_value_table(
    codes: Int[Tensor, " n"], values: Int[Tensor, " n"], codebook_size: int, num_values: int
) -> Int[Tensor, "K V"]:
    """How often each code stands for each value: table[c, v] = |{i: codes_i = c, values_i = v}|.

    Args:
        codes: at least one, each from 0 to K - 1.
        values: of the same n referents, each from 0 to V - 1.
        codebook_size: K.
        num_values: V.

    Returns:
        Counts, which sum to n.

    Raises:
        ValueError: if there are no codes, or a code or value is out of range.
    """
    _check_some(codes)
    _check_indices("codes", codes, codebook_size)
    _check_indices("values", values, num_values)
    cells = codes.long() * num_values + values.long()
    return torch.bincount(cells, minlength=codebook_size * num_values).view(codebook_size, num_values)


def topographic_similarity(
    meanings: Int[Tensor, "n A"],
    messages: Int[Tensor, "n ..."] | Float[Tensor, "n ..."] | Sequence[str],
    most: int = 256,
) -> float:
    """Do like meanings get like messages? Spearman's correlation of two distances over all pairs.

    Between meanings: Hamming's, the number of attributes that differ. Between messages: Hamming's for codes,
    1 - cosine for vectors (flattened), Levenshtein's in characters for text. The measure is Brighton and
    Kirby's (2006, Artificial Life 12), by ranks as in Lazaridou et al. (2018, ICLR). Pairs are not
    independent, so it has no simple interval.

    Args:
        meanings: value indices of n referents, n at least 2.
        messages: about them, one each.
        most: referents that are compared; of more, always the same ones are drawn.

    Returns:
        -1 to 1, without unit; NaN if all meanings or all messages are equally far apart, or a vector is zero.

    Raises:
        ValueError: if there are fewer than 2 referents, not as many messages, or most is below 2.
    """
    _at_least_two("meanings", meanings)
    if len(messages) != len(meanings):
        raise ValueError(f"messages must be as many as meanings, {len(meanings)}, got {len(messages)}")
    if most < 2:
        raise ValueError(f"most must be at least 2, got {most}")
    kept = torch.randperm(len(meanings), generator=torch.Generator().manual_seed(0))[:most]
    pairs = torch.combinations(torch.arange(len(kept)))
    meaning_distances = _hamming(meanings[kept], pairs)
    if not isinstance(messages, Tensor):
        message_distances = _levenshtein([messages[index] for index in kept.tolist()], pairs)
    elif messages.is_floating_point():
        message_distances = _cosine_distance(messages[kept], pairs)
    else:
        message_distances = _hamming(messages[kept], pairs)
    columns = (meaning_distances, message_distances)
    if any(bool((column == column[0]).all()) for column in columns):
        return UNDEFINED
    return float(spearmanr(*(column.numpy() for column in columns)).statistic)


def _hamming(symbols: Int[Tensor, "n ..."], pairs: Int[Tensor, "P 2"]) -> Float[Tensor, " P"]:
    """In how many places two rows differ."""
    flat = symbols.cpu().reshape(len(symbols), -1)
    return torch.ne(flat[pairs[:, 0]], flat[pairs[:, 1]]).sum(1).double()


def _cosine_distance(vectors: Float[Tensor, "n ..."], pairs: Int[Tensor, "P 2"]) -> Float[Tensor, " P"]:
    """1 - cosine; NaN where a vector is zero."""
    flat = vectors.cpu().reshape(len(vectors), -1).double()
    units = flat / flat.norm(dim=1, keepdim=True)
    distances: Tensor = 1 - (units @ units.T)[pairs[:, 0], pairs[:, 1]]
    return distances


def _levenshtein(texts: Sequence[str], pairs: Int[Tensor, "P 2"]) -> Float[Tensor, " P"]:
    """Insertions, deletions and substitutions of characters that turn one text into another."""
    lengths = np.array([len(text) for text in texts], dtype=np.int16)
    letters = np.zeros((lengths.max(), len(texts)), dtype=np.int32)
    for column, text in enumerate(texts):
        letters[: len(text), column] = [ord(letter) for letter in text]
    parts = [part.numpy().T for part in torch.split(pairs, PAIRS_AT_ONCE)]
    distances = [_edit_distances(letters[:, a], lengths[a], letters[:, b], lengths[b]) for a, b in parts]
    return torch.from_numpy(np.concatenate(distances)).double()


def _edit_distances(
    first: Int[np.ndarray, "T P"],
    first_lengths: Int[np.ndarray, " P"],
    second: Int[np.ndarray, "T P"],
    second_lengths: Int[np.ndarray, " P"],
) -> Int[np.ndarray, " P"]:
    """Wagner and Fischer's table (1974, J. ACM 21) of P pairs, one diagonal at a time.

    table[i, j] is the distance of the first i letters to the first j; a diagonal is i + j, its places are i.
    """
    size, everyone = len(first), np.arange(first.shape[1])
    before = last = np.zeros((size + 1, len(everyone)), dtype=np.int16)
    distances: np.ndarray = last[0]
    for diagonal in range(1, 2 * size + 1):
        low, high = max(1, diagonal - size), min(size, diagonal - 1)
        new = np.full_like(last, diagonal)  # stays where one of the two has no letters yet
        other = second[diagonal - high - 1 : diagonal - low][::-1]
        replaced = before[low - 1 : high] + (first[low - 1 : high] != other)
        new[low : high + 1] = np.minimum(np.minimum(last[low - 1 : high], last[low : high + 1]) + 1, replaced)
        before, last = last, new
        reached = first_lengths + second_lengths == diagonal
        distances = np.where(reached, last[first_lengths, everyone], distances)
    return distances


def _entropy(shares: Float[Tensor, "*shape"]) -> float:
    """In nats."""
    return float(torch.special.entr(shares).sum())


def _perplexity_of(shares: Float[Tensor, " n"]) -> float:
    return float(torch.special.entr(shares).sum().exp())


def _at_least_two(name: str, rows: Tensor) -> Tensor:
    if len(rows) < 2:
        raise ValueError(f"{name} must be at least 2, got {len(rows)}")
    return rows


def _check_some(codes: Tensor) -> None:
    if len(codes) == 0:
        raise ValueError("codes must be at least 1, got none")


def _check_indices(name: str, indices: Tensor, size: int) -> None:
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= size:
        raise ValueError(f"{name} must be from 0 to {size - 1}, got {low if low < 0 else high}")
