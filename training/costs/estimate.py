"""What a training run costs, by arithmetic from its configuration: nothing is loaded, trained or written."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from parley.agents.features import MAX_DESCRIPTION_TOKENS
from parley.agents.sender_cache import ROWS_AT_ONCE  # where nothing is kept on disk: the fewest passes
from parley.training.costs.answers import answer_pass, reading, receiver_passes
from parley.training.costs.cards import Card
from parley.training.costs.passes import FP32, Pass, Work
from parley.training.costs.setting import Setting
from parley.training.validation import CONDITIONS

ADAMW_COPIES = 4  # weight, gradient and two moments
ADAMW_TRAFFIC = 10  # weight: read twice by the codec; gradient written; and the update's 4 reads and 3 writes


def step_parts(setting: Setting) -> dict[str, Work]:
    """What one step in which the receiver plays is made of: reading, each pass of answers, and the codec."""
    parts = reading(setting, setting.config.batch_size)
    parts |= {answers.name: answers.work(setting) for answers in receiver_passes(setting)}
    return parts | {"codec, its losses, AdamW": codec_work(setting, setting.messages)}


def codec_work(setting: Setting, messages: int) -> Work:
    """The codec relays messages and learns from them, with the terms that need no receiver."""
    cost = setting.codec
    flops = cost.forward(messages) + cost.learning(messages)
    return Work(flops=flops, traffic=2 * messages * cost.saved + ADAMW_TRAFFIC * FP32 * cost.parameters)


def alignment_step(setting: Setting) -> Work:
    """What one step costs that asks no receiver."""
    return codec_work(setting, min(setting.config.alignment_batch, setting.referents))


def sender_once(setting: Setting) -> Work:
    """What the sender costs once a run: every training referent is described and read behind its examples."""
    work, shape, shown = Work(), setting.sender, setting.lengths.preamble
    if shown:
        work += Pass(rows=1, new=shown).work(shape, setting.number_bytes)
    read = replace(shape, num_layers=setting.layers_read)  # no layer above is run
    reread = setting.lengths.prompt + setting.lengths.description * setting.rereads
    for start in range(0, setting.referents, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, setting.referents - start)
        runs = [Pass(rows=rows, new=setting.lengths.prompt, past=shown)]
        tokens = min(setting.lengths.description + 1, MAX_DESCRIPTION_TOKENS)  # and the end of the turn
        past = shown + setting.lengths.prompt
        runs += [Pass(rows=rows, new=1, past=past + done) for done in range(tokens - 1)]
        output = shape.vocab_size * shape.width  # the output layer, at one position
        each = Work(flops=2 * rows * output, traffic=setting.number_bytes * output)
        for run in runs:
            work += run.work(shape, setting.number_bytes) + each
        work += Pass(rows=rows, new=reread, past=shown).work(read, setting.number_bytes)
    return work


def validation_once(setting: Setting) -> Work:
    """What is read once: solved examples, and validation's episodes, played under the content-free prefix."""
    read = sum(reading(setting, setting.config.validation_episodes).values(), _validated(setting, 1))
    if not setting.lengths.shown:
        return read
    return read + Pass(rows=1, new=setting.lengths.shown).work(setting.receiver, setting.number_bytes)


def validation_each(setting: Setting) -> Work:
    """What each validation costs: its episodes are played under three messages, of which two are encoded."""
    sent = 2 * setting.codec.forward(setting.config.validation_episodes)
    return _validated(setting, CONDITIONS) + Work(flops=sent)


def _validated(setting: Setting, messages: int) -> Work:
    """Validation's episodes, each answered under some messages."""
    episodes = setting.config.validation_episodes
    return answer_pass(setting, "validation", episodes, messages, setting.slot).work(setting)


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
    saved = [answers.saved(setting) for answers in receiver_passes(setting)]
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
