"""What a training run costs, by arithmetic from its configuration: nothing is loaded, trained or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from parley.agents.features import MAX_DESCRIPTION_TOKENS
from parley.agents.sender import ROWS_AT_ONCE
from parley.training.costs.cards import Card
from parley.training.costs.passes import FP32, Pass, Work, hearing
from parley.training.costs.receiver_passes import of_messages, receiver_passes
from parley.training.costs.setting import Setting

ADAMW_COPIES = 4  # weight, gradient and two moments
ADAMW_TRAFFIC = 10  # weight: read twice by the codec; gradient written; and the update's 4 reads and 3 writes
VALIDATION_MESSAGES = 3  # normal, shuffle, swap


def step_parts(setting: Setting) -> dict[str, Work]:
    """What one step in which the receiver plays is made of: reading, each hearing, and the codec."""
    parts = {"contexts are read": reading_pass(setting).work(setting.receiver, setting.number_bytes)}
    if setting.codec.at_start:
        parts = {}  # the prompt is read anew with every message
    for answer_states in receiver_passes(setting):
        parts[answer_states.name] = answer_states.work(setting)
    rows = setting.config.batch_size * setting.config.messages_per_context
    return parts | {"codec, its losses, AdamW": codec_work(setting, rows)}


def reading_pass(setting: Setting) -> Pass:
    """The contexts of a step are read, without gradient."""
    return Pass(rows=setting.config.batch_size, new=setting.lengths.before)


def codec_work(setting: Setting, messages: int) -> Work:
    """The codec relays messages and learns from them, with the terms that need no receiver."""
    cost = setting.codec
    flops = messages * (cost.forward + cost.backward) + cost.forward_once + cost.backward_once
    flops += of_messages(setting, messages)
    return Work(flops=flops, traffic=2 * messages * cost.saved + ADAMW_TRAFFIC * FP32 * cost.parameters)


def alignment_step(setting: Setting) -> Work:
    """What one step costs that asks no receiver."""
    return codec_work(setting, min(setting.config.alignment_batch, setting.referents))


def sender_once(setting: Setting) -> Work:
    """What the sender costs once a run: it describes and reads every training referent."""
    work, shape = Work(), setting.sender
    read = replace(shape, num_layers=setting.layers_read)  # no layer above is run
    reread = setting.lengths.prompt + setting.lengths.said * setting.rereads
    for rows in _chunks(setting.referents, ROWS_AT_ONCE):
        runs = [Pass(rows=rows, new=setting.lengths.prompt)]
        spoken = min(setting.lengths.said + 1, MAX_DESCRIPTION_TOKENS)  # and the end of the turn
        runs += [Pass(rows=rows, new=1, past=setting.lengths.prompt + done) for done in range(spoken - 1)]
        said = shape.vocab_size * shape.width  # the output layer, at one position
        each = Work(flops=2 * rows * said, traffic=setting.number_bytes * said)
        for run in runs:
            work += run.work(shape, setting.number_bytes) + each
        work += Pass(rows=rows, new=reread).work(read, setting.number_bytes)
    return work


def _chunks(total: int, size: int) -> Iterator[int]:
    """Sizes of the parts of a whole."""
    for start in range(0, total, size):
        yield min(size, total - start)


def validation_once(setting: Setting) -> Work:
    """What validation costs once: its episodes are read, and the content-free prefix is heard."""
    run = Pass(rows=setting.config.validation_episodes, new=setting.lengths.before)
    return run.work(setting.receiver, setting.number_bytes) + _validated(setting, 1)


def validation_each(setting: Setting) -> Work:
    """What each validation costs: its episodes are heard under three messages; two of them are made anew."""
    cost = setting.codec
    said = 2 * (setting.config.validation_episodes * cost.forward + cost.forward_once)
    return _validated(setting, VALIDATION_MESSAGES) + Work(flops=said)


def _validated(setting: Setting, messages: int) -> Work:
    """Validation's episodes, heard under so many messages each."""
    episodes, before = setting.config.validation_episodes, setting.lengths.before
    run = Pass(rows=episodes * messages, new=before + setting.slot)
    if not setting.codec.at_start:
        sizes = {"contexts": episodes, "messages": messages, "past": before, "slot": setting.slot}
        run = hearing(**sizes, packed=setting.packed, graph=False, backward=False)
    labels = 2 * episodes * messages * setting.receiver.width * setting.config.num_candidates
    return run.work(setting.receiver, setting.number_bytes) + Work(flops=labels)


def memory(setting: Setting) -> dict[str, float]:
    """Bytes on the device at the height of a step, by what holds them, without CUDA's own and fragments.

    Room for the sender's passes is counted as if they and the step came together.
    """
    config, number = setting.config, setting.number_bytes
    models = [setting.receiver] if setting.one_model else [setting.receiver, setting.sender]
    tokens = setting.lengths.before * number * setting.receiver.cache_numbers_per_token
    states = setting.referents * setting.states * setting.sender.width * FP32
    at_once = min(ROWS_AT_ONCE, setting.referents) * setting.lengths.prompt
    features = 2 * at_once * setting.sender.width * number
    rows = config.batch_size if setting.packed else config.batch_size * config.messages_per_context
    saved = [answer_states.run.saved(setting.receiver, number) for answer_states in receiver_passes(setting)]
    messages = config.batch_size * config.messages_per_context
    return {
        "models' weights": number * sum(shape.num_parameters for shape in models),
        "contexts read, and a copy that goes on": 0.0 if setting.codec.at_start else 2.0 * rows * tokens,
        "kept for the backward pass": float(sum(saved)),
        "sender's states": max(2.0 * states, states + features),
        "validation's contexts": float(config.validation_episodes * tokens),
        "codec, its activations, AdamW": ADAMW_COPIES * FP32 * setting.codec.parameters
        + messages * setting.codec.saved,
    }


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost of a run, part by part.

    Args:
        setting: what was asked.
        step: parts of a step in which the receiver plays.
        alignment: a step that asks no receiver.
        sender: once a run.
        validation: each of them; the first one also reads its episodes.
        validation_reading: once a run.
        memory: bytes at the height of a step, by what holds them.
    """

    setting: Setting
    step: dict[str, Work]
    alignment: Work
    sender: Work
    validation: Work
    validation_reading: Work
    memory: dict[str, float]

    @classmethod
    def of(cls, setting: Setting) -> Estimate:
        """That of a setting."""
        return cls(
            setting=setting,
            step=step_parts(setting),
            alignment=alignment_step(setting),
            sender=sender_once(setting),
            validation=validation_each(setting),
            validation_reading=validation_once(setting),
            memory=memory(setting),
        )

    @property
    def playing_steps(self) -> int:
        """Steps in which the receiver plays."""
        return self.setting.config.steps - self.setting.config.alignment_steps

    @property
    def validations(self) -> int:
        """How often it is validated: every so many steps, and at the end."""
        return -(-self.setting.config.steps // self.setting.config.validate_every)

    @property
    def total(self) -> Work:
        """The work of the whole run."""
        return sum((work * times for work, times in self._all()), Work())

    def seconds(self, card: Card) -> float:
        """The least time for the whole run, part after part."""
        return sum(times * card.seconds(work) for work, times in self._all())

    def _all(self) -> list[tuple[Work, int]]:
        """Every part, and how often it comes."""
        return [
            *((work, self.playing_steps) for work in self.step.values()),
            (self.alignment, self.setting.config.alignment_steps),
            (self.validation, self.validations),
            (self.validation_reading, 1),
            (self.sender, 1),
        ]
