"""Cards on which a run can be predicted: peaks from their vendors' data sheets, which no program reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from parley.channels.base import check_range
from parley.plugins.names import unknown
from parley.training.costs.passes import Work

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card's peaks.

    Args:
        tflops: of matrix products without sparsity, in the precision that the models run in there.
        gbs: gigabytes a second between memory and processor.
        memory_gb: gigabytes of memory; 0 if that is not known.
        number_bytes: of a weight: 2 for bfloat16, 4 for float32.
        source: of the figures.
    """

    tflops: float
    gbs: float
    memory_gb: float = 0
    number_bytes: int = 2
    source: str = ""

    def seconds(self, work: Work) -> float:
        """The least time for some work: that of the operations or that of the traffic, whichever is longer.

        The roofline of Williams, Waterman and Patterson (2009).
        """
        return max(work.flops / (self.tflops * TERA), work.traffic / (self.gbs * GIGA))


# dense bfloat16; where the data sheet gives rates with sparsity, half of that
CARDS = {
    "a100-40": Card(tflops=312, gbs=1555, memory_gb=40, source="NVIDIA A100 data sheet, SXM"),
    "a100-80": Card(tflops=312, gbs=2039, memory_gb=80, source="NVIDIA A100 data sheet, SXM"),
    "h100-sxm": Card(tflops=989, gbs=3350, memory_gb=80, source="NVIDIA H100 data sheet"),
    "h200": Card(tflops=989, gbs=4800, memory_gb=141, source="NVIDIA H200 data sheet"),
    "l4": Card(tflops=121, gbs=300, memory_gb=24, source="NVIDIA L4 data sheet"),
    "rtx-4090": Card(tflops=165.2, gbs=1008, memory_gb=24, source="NVIDIA Ada architecture whitepaper"),
    "cpu": Card(
        tflops=0.096,
        gbs=25.6,
        number_bytes=4,
        source="one core at 3 GHz with two 256-bit FMA units, in float32; one channel of DDR4-3200",
    ),
}
DEFAULT_CARD = "a100-80"


def _cards(default: str) -> str:
    """What `--help` says of `--card`."""
    return f"(one of {', '.join(CARDS)}; default: {default})"


@dataclass(frozen=True, kw_only=True)
class EstimateConfig:
    """What is asked about a run instead of running it.

    Args:
        estimate: say what the run would cost, from the models' configurations alone: nothing is loaded,
            trained or written. `--model` may then also name a shape, such as qwen2.5-3b.
        card: on which the time is predicted.
        peak_tflops: of your own card, dense, in TFLOP/s; 0 takes the card's.
        bandwidth_gbs: of your own card's memory, in GB/s; 0 takes the card's.
        utilisation: share of both peaks that is reached, above 0 and at most 1; at 1 the time is a lower
            bound, and real steps of small batches reach well below half.
    """

    estimate: bool = False
    card: Annotated[str, tyro.conf.arg(help_behavior_hint=_cards)] = DEFAULT_CARD
    peak_tflops: float = 0.0
    bandwidth_gbs: float = 0.0
    utilisation: float = 1.0

    def __post_init__(self) -> None:
        check_range("peak_tflops", self.peak_tflops, 0)
        check_range("bandwidth_gbs", self.bandwidth_gbs, 0)
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation must be above 0 and at most 1, got {self.utilisation}")

    @property
    def reached(self) -> Card:
        """The card as far as it is used, with figures of the user's own in the place of known ones.

        Raises:
            ValueError: if the card is unknown; lists the names and suggests the nearest.
        """
        if self.card not in CARDS:
            own = "; --peak-tflops and --bandwidth-gbs describe another"
            raise unknown("card", self.card, CARDS, own)
        card = CARDS[self.card]
        if self.peak_tflops and self.bandwidth_gbs:  # nothing of the named card is left but its precision
            card = replace(card, memory_gb=0.0, source="the user's own figures")
        tflops, gbs = self.peak_tflops or card.tflops, self.bandwidth_gbs or card.gbs
        return replace(card, tflops=tflops * self.utilisation, gbs=gbs * self.utilisation)
