"""What a run says of itself in its provenance, as far as judging it needs that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.evaluation.aggregation.run_data import RunOutcomes


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a run says of itself; None for what it does not say.

    Args:
        planned: how many episodes each condition was to play, at most if it was played until decided.
        recorded: whether the records come from a file, so that somebody else vouches for them.
        unchanged: of such a file, whether it is the one that was judged when it was played.
        sealed: whether nothing but the message could join sender and receiver.
        seed_chosen: whether the seed of the episodes was chosen, and so could be known to a channel.
        breaches: by channel, the promise of its contract that it broke and how; None if nobody asked.
    """

    planned: int | None = None
    recorded: bool = False
    unchanged: bool | None = None
    sealed: bool | None = None
    seed_chosen: bool | None = None
    breaches: Mapping[str, str] | None = field(default=None)

    @property
    def qualifiers(self) -> list[str]:
        """What stands beside the verdict in a word or two."""
        said = {"unsealed": self.sealed is False, "evaluation seed chosen": self.seed_chosen is True}
        return [words for words, true in said.items() if true]


def find_stated(provenance: Mapping[str, Any]) -> Stated:
    """Read what a run says of itself.

    Args:
        provenance: `episodes` is a number for a run that was played, and an object for records from a file.

    Raises:
        ValueError: if `sealed`, `seed_chosen` or `breaches` is not what it should be.
    """
    episodes = provenance.get("episodes")
    recorded = isinstance(episodes, Mapping)
    about: Mapping[str, Any] = episodes if isinstance(episodes, Mapping) else {"planned": episodes}
    planned, played = about.get("planned"), about.get("sha256_when_played")
    breaches = provenance.get("breaches")
    strings = isinstance(breaches, Mapping) and all(isinstance(said, str) for said in breaches.values())
    if breaches is not None and not strings:
        raise ValueError(f"breaches must be an object of sentences by channel, got {breaches!r}")
    return Stated(
        planned=planned if isinstance(planned, int) and not isinstance(planned, bool) else None,
        recorded=recorded,
        unchanged=None if played is None else played == about.get("sha256"),
        sealed=_flag(provenance, "sealed"),
        seed_chosen=_flag(provenance, "seed_chosen"),
        breaches=breaches,
    )


def reservations(stated: Stated, outcomes: RunOutcomes, sequential: bool) -> list[str]:
    """Why records that meet all that is asked do not pass.

    Args:
        stated: what the run says of itself.
        outcomes: what there is of it.
        sequential: whether it is judged by what holds at every n.

    Returns:
        Sentences; none for a run that is as it was planned.
    """
    found = []
    present = [played.n for _, played in outcomes.arms(stated.breaches or ())]
    if stated.planned is not None and present and min(present) < stated.planned and not sequential:
        some = f"{min(present)}" if min(present) == max(present) else f"{min(present)} to {max(present)}"
        found.append(
            f"Of the {stated.planned} episodes that were planned {some} are there: to stop before the number "
            f"that was planned is optional stopping, so this cannot pass; finish the run with --resume, or "
            f"judge it by what holds at every n, with --until-decided."
        )
    if stated.unchanged is False:
        found.append(
            "The episodes are not those that results.json beside them was made of: their SHA-256 differs, so "
            "they were changed since, and this cannot pass."
        )
    return found


def find_num_candidates(outcomes: RunOutcomes, provenance: Mapping[str, Any]) -> int | None:
    """N, as the records or the provenance say; None if neither does.

    Raises:
        ValueError: if they contradict each other, or it cannot be one.
    """
    stated = provenance.get("num_candidates")
    if stated is None:
        return outcomes.num_candidates
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 2:
        raise ValueError(f"num_candidates must be an integer of at least 2, got {stated!r}")
    if outcomes.num_candidates not in (None, stated):
        raise ValueError(
            f"num_candidates must be {outcomes.num_candidates}, the number of the records' candidates, "
            f"got {stated}"
        )
    return stated


def _flag(provenance: Mapping[str, Any], name: str) -> bool | None:
    value = provenance.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value
