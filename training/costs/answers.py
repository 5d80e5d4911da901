"""What the receiver's answers cost: hearing messages, the choices behind them, and the output layer."""

from __future__ import annotations

import math
from typing import NamedTuple

from parley.agents.readouts.likelihood import ROWS_AT_ONCE
from parley.training.costs.passes import FP32, Pass, Work
from parley.training.costs.setting import Setting


class AnswerPass(NamedTuple):
    """One pass of answers.

    Attributes:
        name: for the table.
        runs: of the decoder: over messages, and over the choices behind them where a readout runs these.
        output: what is done with the output layer.
        held: bytes of log-odds that are held together for the backward pass.
    """

    name: str
    runs: list[Pass]
    output: Work
    held: float

    def work(self, setting: Setting) -> Work:
        """All of it."""
        runs = (run.work(setting.receiver, setting.number_bytes) for run in self.runs)
        return sum(runs, self.output)

    def saved(self, setting: Setting) -> float:
        """Bytes that are kept for the backward pass."""
        return self.held + sum(run.saved(setting.receiver, setting.number_bytes) for run in self.runs)


def answer_pass(
    setting: Setting,
    name: str,
    contexts: int,
    messages: int,
    slot: int,
    *,
    gradient: bool = False,
    compared: int = 0,
) -> AnswerPass:
    """Contexts are answered under some messages each.

    Args:
        setting: of the run.
        name: of the pass.
        contexts: how many.
        messages: of each.
        slot: tokens of a message, and of what follows it.
        gradient: whether the messages are learned from.
        compared: nlls that are taken, one or more for each answer.
    """
    answers, cost, shape = contexts * messages, setting.answer, setting.receiver
    rows, nll_rows = answers * cost.rows, compared * cost.nll_rows
    back = gradient * (nll_rows or rows * (1 + cost.again))
    states = rows / shape.vocab_size  # those whose log-odds of all tokens are made
    traffic = held = 0.0
    if states >= answers:  # of letters the rows are few
        read = math.ceil(states / ROWS_AT_ONCE) * shape.vocab_size * shape.width
        made = read + states * (shape.vocab_size + shape.width)
        traffic = setting.number_bytes * made * (1 + gradient * (1 + cost.again))
        held = gradient * FP32 * min(states, ROWS_AT_ONCE) * shape.vocab_size
    work = Work(flops=2 * shape.width * (rows + nll_rows + back), traffic=traffic)
    return AnswerPass(name, setting.answer_runs(contexts, messages, slot, gradient), work, held)


def receiver_passes(setting: Setting) -> list[AnswerPass]:
    """The passes of one step in which the receiver plays: those that its objectives need."""
    config, needs, slot = setting.config, setting.config.objectives.needs, setting.slot
    contexts, each, every = config.batch_size, config.messages_per_context, setting.messages
    pairs, taught = min(contexts, config.objectives.num_pairs), "normal" in needs

    def made(name: str, *sizes: int, gradient: bool = True, compared: int = every) -> AnswerPass:
        return answer_pass(setting, name, *sizes, gradient=gradient, compared=compared)

    passes = [made("messages are read", contexts, each, slot, gradient=taught)]
    if "shuffle" in needs:
        passes.append(made("another context's messages", contexts, each, slot))
    if "all_pairs" in needs:
        passes.append(made("all pairs of some contexts", pairs, pairs, slot, compared=0))
    if "null" in needs:  # the same for all messages of a context
        passes.append(made("the null message", contexts, 1, slot, gradient=False))
    if "text" in needs:
        told = setting.lengths.words + setting.lengths.tail
        passes.append(made("the sender's words", contexts, each, told, gradient=False, compared=0))
    return passes


def reading(setting: Setting, contexts: int) -> dict[str, Work]:
    """What it takes to read contexts behind the solved examples, and to calibrate their scores, by part."""
    shape, lengths, parts = setting.receiver, setting.lengths, {}
    if not setting.codec.at_start:  # a prompt behind a prefix is read anew with every message
        run = Pass(rows=contexts, new=lengths.before - lengths.shown, past=lengths.shown)
        parts["contexts are read"] = run.work(shape, setting.number_bytes)
    if setting.num_neutral:
        slot = lengths.neutral + lengths.tail
        scored = answer_pass(setting, "scores are calibrated", contexts, setting.num_neutral, slot)
        parts[scored.name] = scored.work(setting)
    return parts
