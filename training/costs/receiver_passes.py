"""Which passes of the receiver a step makes: those that its objectives ask for, as `step.Step` runs them."""

from __future__ import annotations

from typing import NamedTuple

from parley.training.costs.passes import Pass, Work, hearing
from parley.training.costs.setting import Setting
from parley.training.objective_plugins import OBJECTIVES, extra_weights
from parley.training.objectives import INFO_NCE_ROWS, ObjectiveWeights


class Hearing(NamedTuple):
    """One pass of the receiver, and what is made of its answers."""

    name: str
    run: Pass
    answers: float  # FLOPs of the output layer, forward and backward

    def work(self, setting: Setting) -> Work:
        """All of it."""
        return self.run.work(setting.receiver, setting.number_bytes) + Work(flops=self.answers)


def receiver_passes(setting: Setting) -> list[Hearing]:
    """The passes of one step in which the receiver plays, in the order of `PlayedBatch`'s attributes."""
    config, wanted = setting.config, _wanted(setting.config.objectives)
    contexts, messages = config.batch_size, config.messages_per_context
    said = 2 * contexts * messages * setting.receiver.width * _choices(setting)  # an answer, one way
    labels = 2 * contexts * messages * setting.receiver.width * config.num_candidates
    taught = bool(wanted & {"swap_contrast", "teacher_kl"})
    surprised = len(wanted & {"ce", "help", "contrast"})  # each looks at the answer itself, there and back
    graph = config.objectives.differentiable
    answer_states = [
        Hearing(
            "messages are heard",
            _run(
                setting,
                graph=graph,
                backward=graph and (taught or bool(surprised) or _plugged(config.objectives)),
            ),
            2 * said * surprised + labels * (1 + taught),
        )
    ]
    if "contrast" in wanted:
        answer_states.append(
            Hearing("others' messages (contrast)", _run(setting, graph=True, backward=True), 2 * said)
        )
    if "help" in wanted:
        answer_states.append(
            Hearing("null (help)", _run(setting, messages=1), said)
        )  # the same for all messages
    if "teacher_kl" in wanted:
        told = _run(setting, slot=setting.lengths.words + setting.lengths.tail)
        answer_states.append(Hearing("words (teacher_kl)", told, labels))
    if "info_nce" in wanted:
        size = min(INFO_NCE_ROWS, contexts)
        crossed = _run(setting, contexts=size, messages=size, graph=True, backward=True)
        answers = 2 * 2 * size * size * setting.receiver.width * config.num_candidates
        answer_states.append(Hearing("crossed (info_nce)", crossed, answers))
    return answer_states


def _wanted(objectives: ObjectiveWeights) -> set[str]:
    return {name for name, weight in objectives.weights.items() if weight}


def _choices(setting: Setting) -> int:
    """Tokens among which the target's label is to be likely."""
    if setting.config.objectives.among == "labels":
        return setting.config.num_candidates
    return setting.receiver.vocab_size


def _plugged(objectives: ObjectiveWeights) -> bool:
    """Whether a plug-in's term looks at the game; it is taken to look at the right messages alone."""
    extra = extra_weights(objectives.extra)
    return any(weight and OBJECTIVES.find(name).of == "play" for name, weight in extra.items())


def _run(
    setting: Setting,
    *,
    contexts: int | None = None,
    messages: int | None = None,
    slot: int | None = None,
    graph: bool = False,
    backward: bool = False,
) -> Pass:
    config, past = setting.config, setting.lengths.before
    contexts, messages = contexts or config.batch_size, messages or config.messages_per_context
    slot = setting.slot if slot is None else slot
    if setting.codec.at_start:  # no cache: the whole prompt is run for every message
        return Pass(rows=contexts * messages, new=past + slot, graph=graph, backward=backward)
    return hearing(
        contexts=contexts,
        messages=messages,
        past=past,
        slot=slot,
        packed=setting.packed,
        graph=graph,
        backward=backward,
    )


def of_messages(setting: Setting, messages: int) -> float:
    """Operations of the terms that need no receiver, forward and backward."""
    wanted, latents = _wanted(setting.config.objectives), setting.codec.latent_numbers
    flops = 0.0
    if "reconstruction" in wanted:  # back to the vectors; the tokens' table is frozen
        vectors = setting.codec.slots * setting.receiver.width
        flops += 2 * 2 * messages * vectors * setting.lengths.vocabulary
    if "attributes" in wanted:  # back to the latents and to the head
        flops += 3 * 2 * messages * latents * setting.values
    if "state_reconstruction" in wanted:
        flops += 3 * 2 * messages * latents * setting.sender.width
    if "info_preserve" in wanted:  # a product of the latents with themselves, so back to both sides of it
        flops += 3 * 2 * messages**2 * latents + 2 * messages**2 * setting.sender.width
    return flops
