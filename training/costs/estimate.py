"""What a training run costs, by arithmetic from its configuration: nothing is loaded, trained or written."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from parley.agents.features import MAX_DESCRIPTION_TOKENS
from parley.agents.sender_cache import ROWS_AT_ONCE  # where nothing is kept on disk: the fewest passes
from parley.training.costs.cards import Card
from parley.training.costs.passes import FP32, Pass, Work
from parley.training.costs.setting import Setting
from parley.training.validation import CONDITIONS

ADAMW_COPIES = 4  # weight, gradient and two moments
ADAMW_TRAFFIC = 10  # weight: read twice by the codec; gradient written; and the update's 4 reads and 3 writes


class AnswerPass(NamedTuple):
    """One pass of the receiver, and what is made of its answers."""

    name: str
    run: Pass
    answers: float  # FLOPs of the output layer, forward and backward

    def work(self, setting: Setting) -> Work:
        """All of it."""
        return self.run.work(setting.receiver, setting.number_bytes) + Work(flops=self.answers)


def receiver_passes(setting: Setting) -> list[AnswerPass]:
    """The passes of one step in which the receiver plays: those that its objectives need."""
    needs, slot, each = setting.config.objectives.needs, setting.slot, setting.config.messages_per_context
    choices = 2 * setting.receiver.width * setting.num_choices  # FLOPs of an answer, one way
    nll = 2 * setting.receiver.width * setting.nll_rows
    taught = "normal" in needs
    pairs = min(setting.config.batch_size, setting.config.objectives.num_pairs)

    def made(name: str, contexts: int, messages: int, slot: int, gradient: bool, flops: int) -> AnswerPass:
        return AnswerPass(name, setting.answer_pass(contexts, messages, slot, gradient), flops)

    contexts, every = setting.config.batch_size, setting.messages
    there, back = every * (choices + nll), every * (nll or choices)
    passes = [made("messages are read", contexts, each, slot, taught, there + back * taught)]
    if "shuffle" in needs:
        passes.append(made("another context's messages", contexts, each, slot, True, there + back))
    if "all_pairs" in needs:
        crossed = 2 * pairs**2 * choices
        passes.append(made("all pairs of some contexts", pairs, pairs, slot, True, crossed))
    if "null" in needs:  # the same for all messages of a context
        flops = contexts * choices + every * nll
        passes.append(made("the null message", contexts, 1, slot, False, flops))
    if "text" in needs:
        told = setting.lengths.words + setting.lengths.tail
        passes.append(made("the sender's words", contexts, each, told, False, every * choices))
    return passes


def step_parts(setting: Setting) -> dict[str, Work]:
    """What one step in which the receiver plays is made of: reading, each pass of answers, and the codec."""
    reading = Pass(rows=setting.config.batch_size, new=setting.lengths.before)
    # a prompt behind a prefix is read anew with every message
    parts = {} if setting.codec.at_start else {"contexts are read": _work(setting, reading)}
    parts |= {answers.name: answers.work(setting) for answers in receiver_passes(setting)}
    return parts | {"codec, its losses, AdamW": codec_work(setting, setting.messages)}


def _work(setting: Setting, run: Pass) -> Work:
    return run.work(setting.receiver, setting.number_bytes)


def codec_work(setting: Setting, messages: int) -> Work:
    """The codec relays messages and learns from them, with the terms that need no receiver."""
    cost = setting.codec
    flops = cost.forward(messages) + cost.learning(messages)
    return Work(flops=flops, traffic=2 * messages * cost.saved + ADAMW_TRAFFIC * FP32 * cost.parameters)


def alignment_step(setting: Setting) -> Work:
    """What one step costs that asks no receiver."""
    return codec_work(setting, min(setting.config.alignment_batch, setting.referents))


def sender_once(setting: Setting) -> Work:
    """What the sender costs once a run: it describes and reads every training referent."""
    work, shape = Work(), setting.sender
    read = replace(shape, num_layers=setting.layers_read)  # no layer above is run
    reread = setting.lengths.prompt + setting.lengths.description * setting.rereads
    for start in range(0, setting.referents, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, setting.referents - start)
        runs = [Pass(rows=rows, new=setting.lengths.prompt)]
        tokens = min(setting.lengths.description + 1, MAX_DESCRIPTION_TOKENS)  # and the end of the turn
        runs += [Pass(rows=rows, new=1, past=setting.lengths.prompt + done) for done in range(tokens - 1)]
        output = shape.vocab_size * shape.width  # the output layer, at one position
        each = Work(flops=2 * rows * output, traffic=setting.number_bytes * output)
        for run in runs:
            work += run.work(shape, setting.number_bytes) + each
        work += Pass(rows=rows, new=reread).work(read, setting.number_bytes)
    return work


def validation_once(setting: Setting) -> Work:
    """What validation costs once: its episodes are read, and played under the content-free prefix."""
    reading = Pass(rows=setting.config.validation_episodes, new=setting.lengths.before)
    return _work(setting, reading) + _validated(setting, 1)


def validation_each(setting: Setting) -> Work:
    """What each validation costs: its episodes are played under three messages, of which two are encoded."""
    sent = 2 * setting.codec.forward(setting.config.validation_episodes)
    return _validated(setting, CONDITIONS) + Work(flops=sent)


def _validated(setting: Setting, messages: int) -> Work:
    """Validation's episodes, each answered under some messages."""
    episodes = setting.config.validation_episodes
    run = setting.answer_pass(episodes, messages, setting.slot, gradient=False)
    choices = 2 * episodes * messages * setting.receiver.width * setting.num_choices
    return _work(setting, run) + Work(flops=choices)


def memory(setting: Setting) -> dict[str, float]:
    """Bytes on the device at the height of a step, by what holds them, without CUDA's own and fragments.

    Room for the sender's passes is counted as if they and the step came together.
    """
    config, number = setting.config, setting.number_bytes
    models = [setting.receiver] if setting.one_model else [setting.receiver, setting.sender]
    tokens = setting.lengths.before * number * setting.receiver.cache_numbers_per_token
    held = setting.lengths.states(setting.rereads)
    states = setting.referents * held * setting.sender.width * FP32
    at_once = min(ROWS_AT_ONCE, setting.referents) * setting.lengths.prompt
    features = 2 * at_once * setting.sender.width * number
    saved = [answers.run.saved(setting.receiver, number) for answers in receiver_passes(setting)]
    return {
        "models' weights": number * sum(shape.num_parameters for shape in models),
        "contexts read, and a copy that goes on": 0.0
        if setting.codec.at_start
        else 2.0 * config.batch_size * tokens,
        "kept for the backward pass": float(sum(saved)),
        "sender's states": max(2.0 * states, states + features),
        "validation's contexts": float(config.validation_episodes * tokens),
        "codec, its activations, AdamW": ADAMW_COPIES * FP32 * setting.codec.parameters
        + setting.messages * setting.codec.saved,
    }


class Part(NamedTuple):
    """What a run does again and again, or once.

    Attributes:
        name: in the plural, where it comes more than once.
        times: how often.
        works: of one of them, part after part.
    """

    name: str
    times: int
    works: list[Work]

    @property
    def work(self) -> Work:
        """All of it."""
        return sum(self.works, Work()) * self.times

    def seconds(self, card: Card) -> float:
        """The least time for all of it, part after part."""
        return self.times * sum(map(card.seconds, self.works))


def run_parts(setting: Setting) -> list[Part]:
    """The whole run."""
    config = setting.config
    validations = -(-config.steps // config.validate_every)  # one of them at the end
    return [
        Part("playing steps", config.steps - config.alignment_steps, [*step_parts(setting).values()]),
        Part("alignment steps", config.alignment_steps, [alignment_step(setting)]),
        Part("validations", validations, [validation_each(setting)]),
        Part("reading for validation", 1, [validation_once(setting)]),
        Part("the sender, once", 1, [sender_once(setting)]),
    ]
