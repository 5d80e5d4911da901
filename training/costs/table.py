"""How an estimate is shown: tables that fit into 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from parley.agents.player import Profile
from parley.channels.base import ChannelConfig
from parley.training.config import TrainConfig
from parley.training.costs.cards import GIGA, Card, EstimateConfig
from parley.training.costs.estimate import memory, run_parts, step_parts
from parley.training.costs.passes import Work
from parley.training.costs.setting import Setting, read_setting

GIB = 1 << 30
WIDTH = 79


def show_estimate(
    channel: str, codec: ChannelConfig, training: TrainConfig, asked: EstimateConfig, console: Console
) -> None:
    """Print what a run would cost.

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
    setting = read_setting(channel, codec, training, number_bytes=card.number_bytes)
    console.print(_what(channel, setting), soft_wrap=True)
    console.print(_times(setting, card, _title(asked, card)))
    console.print(_memory(memory(setting), card))
    console.print(
        f"The time is a lower bound: the larger of operations and traffic at {asked.utilisation:.0%} of the "
        f"card's peaks ({card.source}). Left out: norms, activations, softmax, look-ups, launching kernels, "
        f"and of the memory what CUDA itself and fragments take. Nothing was loaded, trained or written.",
        width=WIDTH,
    )


def _title(asked: EstimateConfig, card: Card) -> str:
    name = "your own card" if asked.peak_tflops and asked.bandwidth_gbs else asked.card
    return f"{name}: {card.tflops:.4g} TFLOP/s, {card.gbs:.4g} GB/s"


def _what(channel: str, setting: Setting) -> str:
    """What is estimated, in a few lines."""
    config, lengths = setting.config, setting.lengths
    sender, receiver = (
        f"{shape.repository} ({shape.num_parameters / 1e6:,.1f} M parameters)"
        for shape in (setting.sender, setting.receiver)
    )
    models = f"{receiver} sends and receives" if setting.one_model else f"{sender} sends, {receiver} receives"
    return (
        f"{escape(models)}.\n"
        f"Channel {channel}, a codec of {setting.codec.parameters:,} parameters.\n"
        f"{config.batch_size} contexts a step with {config.messages_per_context} messages each.\n"
        f"{_asked(setting.profile)}"
        f"Tokens by {escape(setting.tokenizers)}: {lengths.before} before the slot, "
        f"{setting.codec.slots} in it,\n{lengths.tail} after it, "
        f"{setting.answer.branches:.0f} of candidates behind it;\n"
        f"the sender's prompt {lengths.prompt} behind {lengths.preamble} that are read once, "
        f"what it says {lengths.description}."
    )


def _asked(profile: Profile) -> str:
    """How the models are asked."""
    sender, receiver = profile.sender, profile.receiver
    return (
        f"Player profile: {escape(profile.source)}.\n"
        f"Readout {receiver.readout}, calibration {receiver.calibration}; "
        f"solved examples {sender.shots} and {receiver.shots}.\n"
    )


def _times(setting: Setting, card: Card, title: str) -> Table:
    table = Table(title=title, width=WIDTH, title_justify="left")
    table.add_column("")
    for heading in ("GFLOP", "GB moved", "seconds", "bound by"):
        table.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, seconds: float, *works: Work, bound: bool = False, style: str = "") -> None:
        work = sum(works, Work())
        by = "FLOP/s" if work.flops / card.tflops > work.traffic / card.gbs * 1000 else "bandwidth"
        figures = (work.flops / GIGA, work.traffic / GIGA, seconds)
        table.add_row(name, *map(_figure, figures), by if bound else "", style=style)

    step, parts = step_parts(setting), run_parts(setting)
    for name, work in step.items():
        add(name, card.seconds(work), work, bound=True)
    add("one playing step", sum(map(card.seconds, step.values())), *step.values(), style="bold")
    table.add_section()
    for part in parts:
        add(part.name if part.times == 1 else f"{part.times} {part.name}", part.seconds(card), part.work)
    seconds = sum(part.seconds(card) for part in parts)
    add("the whole run", seconds, *(part.work for part in parts), style="bold")
    return table


def _memory(held: dict[str, float], card: Card) -> Table:
    total = sum(held.values())
    fits = ""
    if card.memory_gb:
        fits = f": {'fits' if total <= card.memory_gb * GIGA else 'too much'} for {card.memory_gb:.0f} GB"
    table = Table(title=f"Memory at the height of a step{fits}", title_justify="left", width=WIDTH)
    table.add_column("")
    table.add_column("GiB", justify="right")
    for name, size in held.items():
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
