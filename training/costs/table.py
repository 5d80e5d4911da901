"""How an estimate is shown: tables that fit into 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from parley.channels.base import ChannelConfig
from parley.training.config import TrainConfig
from parley.training.costs.cards import GIGA, Card, EstimateConfig
from parley.training.costs.estimate import Estimate
from parley.training.costs.passes import Work
from parley.training.costs.setting import Setting, read_setting

GIB = 1 << 30
WIDTH = 79


def show_estimate(
    channel: str, codec: ChannelConfig, training: TrainConfig, asked: EstimateConfig, console: Console
) -> Estimate:
    """Print what a run would cost; returns it.

    Args:
        channel: its name.
        codec: its settings.
        training: how would be trained.
        asked: for which card.
        console: where to print.

    Raises:
        ValueError: if the card, a shape or the world is unknown, or the channel cannot be estimated.
        ModelError: if a model cannot be found or used.
    """
    card = asked.reached
    setting, tokenizers = read_setting(channel, codec, training, number_bytes=card.number_bytes)
    estimate = Estimate.of(setting)
    console.print(_what(channel, setting, tokenizers), soft_wrap=True)
    console.print(_times(estimate, card, _title(asked, card)))
    console.print(_memory(estimate, card))
    console.print(
        f"The time is a lower bound: the larger of operations and traffic at {asked.utilisation:.0%} of the "
        f"card's peaks ({card.source}). Left out: norms, activations, softmax, look-ups, launching kernels, "
        f"and of the memory what CUDA itself and fragments take. Nothing was loaded, trained or written.",
        width=WIDTH,
    )
    return estimate


def _title(asked: EstimateConfig, card: Card) -> str:
    name = "your own card" if asked.peak_tflops and asked.bandwidth_gbs else asked.card
    return f"{name}: {card.tflops:.4g} TFLOP/s, {card.gbs:.4g} GB/s"


def _what(channel: str, setting: Setting, tokenizers: str) -> str:
    """What is estimated, in a few lines."""
    config, lengths = setting.config, setting.lengths
    speaker, listener = (
        f"{shape.repository} ({shape.num_parameters / 1e6:,.1f} M parameters)"
        for shape in (setting.sender, setting.receiver)
    )
    models = (
        f"{listener} speaks and listens" if setting.one_model else f"{speaker} speaks, {listener} listens"
    )
    return (
        f"{escape(models)}.\n"
        f"Channel {channel}, a codec of {setting.codec.parameters:,} parameters.\n"
        f"{config.batch_size} contexts a step with {config.messages_per_context} messages each.\n"
        f"Tokens by {escape(tokenizers)}: {lengths.before} before the slot, {setting.codec.slots} in it, "
        f"{lengths.tail} after it;\nthe sender's prompt {lengths.prompt}, what it says {lengths.said}."
    )


def _times(estimate: Estimate, card: Card, title: str) -> Table:
    table = Table(title=title, width=WIDTH, title_justify="left")
    table.add_column("")
    for heading in ("GFLOP", "GB moved", "seconds", "bound by"):
        table.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, seconds: float, *works: Work, bound: bool = False, style: str = "") -> None:
        work = sum(works, Work())
        by = "FLOP/s" if work.flops / card.tflops > work.traffic / card.gbs * 1000 else "bandwidth"
        figures = (work.flops / GIGA, work.traffic / GIGA, seconds)
        table.add_row(name, *map(_figure, figures), by if bound else "", style=style)

    for name, work in estimate.step.items():
        add(name, card.seconds(work), work, bound=True)
    step = [*estimate.step.values()]
    add("one playing step", sum(map(card.seconds, step)), *step, style="bold")
    table.add_section()
    for name, times, works in (
        ("playing steps", estimate.playing_steps, step),
        ("alignment steps", estimate.setting.config.alignment_steps, [estimate.alignment]),
        ("validations", estimate.validations, [estimate.validation]),
        ("reading for validation", 1, [estimate.validation_reading]),
        ("the sender, once", 1, [estimate.sender]),
    ):
        label = name if times == 1 else f"{times} {name}"
        add(label, times * sum(map(card.seconds, works)), *(work * times for work in works))
    add("the whole run", estimate.seconds(card), estimate.total, style="bold")
    return table


def _memory(estimate: Estimate, card: Card) -> Table:
    total = sum(estimate.memory.values())
    fits = ""
    if card.memory_gb:
        fits = f": {'fits' if total <= card.memory_gb * GIGA else 'too much'} for {card.memory_gb:.0f} GB"
    table = Table(title=f"Memory at the height of a step{fits}", title_justify="left", width=WIDTH)
    table.add_column("")
    table.add_column("GiB", justify="right")
    for name, size in estimate.memory.items():
        table.add_row(name, _figure(size / GIB))
    table.add_row("all of it", _figure(total / GIB), style="bold")
    return table


def _figure(number: float) -> str:
    """Three digits that count, and all of a larger number."""
    if number == 0:
        return "0"
    if number >= 100:
        return f"{number:,.0f}"
    digits = 2 if number >= 1 else 3
    return f"{number:.{digits}f}" if number >= 0.01 else f"{number:.1e}"
