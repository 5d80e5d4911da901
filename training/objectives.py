"""What a codec is asked for: small terms, each with a weight and a logged value of its own, in nats.

Some need only what was said, so that a codec can be aligned without asking the receiver; the others
need the game. To add one, write a function of `MessageBatch` or `PlayedBatch` that returns a scalar, under
`@register_objective`, in any file of this folder or any installed package: nothing else is edited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated

import torch
import tyro
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parley.training.heads import Heads
from parley.training.objective_plugins import OBJECTIVES, check_extra, extra_weights, there_are
from parley.training.objective_plugins import register_objective as register_objective
from parley.training.step import Among, MessageBatch, PlayedBatch

COSINE_TEMPERATURE = 0.1
HELP_MARGIN = 0.2
CONTRAST_MARGIN = 1.0
INFO_NCE_ROWS = 8


@dataclass(frozen=True, kw_only=True)
class ObjectiveWeights:
    """How much each term counts; 0 leaves it out.

    Args:
        ce: the right candidate's label under the right message.
        help: the right message must beat the content-free prefix.
        contrast: the right message must beat another context's.
        swap_contrast: the right message must beat those about the same context's other candidates.
        reconstruction: of the message's tokens from the prefix.
        attributes: of the referent's attributes from the latents.
        state_reconstruction: of the sender's last state from the latents.
        info_nce: bound on the information between messages and contexts.
        info_preserve: latents must be as alike as the sender's states are.
        teacher_kl: the receiver must answer as if it had been told the words.
        reinforce: reward alone; needs a channel that draws its codes.
        entropy: keeps such a channel undecided.
        quantizer: the channel's own losses (commitment), where it has any.
        among: ce, help and contrast look at the candidates' `labels` alone, or at the whole `vocabulary`.
        extra: NAME=WEIGHT of an objective that a plug-in brings.
    """

    ce: float = 1.0
    help: Annotated[float, tyro.conf.arg(name="help-loss")] = 0.0  # --help is taken
    contrast: float = 0.0
    swap_contrast: float = 0.0
    reconstruction: float = 1.0
    attributes: float = 0.0
    state_reconstruction: float = 0.0
    info_nce: float = 0.0
    info_preserve: float = 0.0
    teacher_kl: float = 0.0
    reinforce: float = 0.0
    entropy: float = 0.0
    quantizer: float = 1.0
    among: Among = "labels"
    extra: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="NAME=WEIGHT", help_behavior_hint=there_are),
    ] = ()

    def __post_init__(self) -> None:
        check_extra(extra_weights(self.extra))
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name} must be a finite weight of at least 0, got {weight}")
        if not any(weight for name, weight in self.weights.items() if name != "quantizer"):
            raise ValueError("at least one objective must have a weight above 0")

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term."""
        built_in = [term.name for term in fields(self) if term.name not in ("among", "extra")]
        return {name: getattr(self, name) for name in built_in} | extra_weights(self.extra)

    @property
    def aligning(self) -> bool:
        """Whether any term but the quantiser's can be had without the receiver."""
        of_messages = {name for name in extra_weights(self.extra) if OBJECTIVES.find(name).of == "message"}
        return any(self.weights[name] for name in of_messages | OF_MESSAGES.keys() - {"quantizer"})

    @property
    def differentiable(self) -> bool:
        """Whether any term needs gradient through the receiver: reward needs none."""
        return any(self.weights[name] for name in self.weights if name not in ("reinforce", "entropy"))


def ce(step: PlayedBatch) -> Float[Tensor, ""]:
    """Mean of -log p(target's label | context, right prefix), at the one position of the answer."""
    return step.nll(step.answer_states).mean()


def help_(step: PlayedBatch) -> Float[Tensor, ""]:
    """relu(CE - CE under the content-free prefix + 0.2): the failed experiment's help loss.

    It is met by 0.2 nats, which any prefix brings that looks less odd than zeros.
    """
    margin = step.nll(step.answer_states).mean() - step.nll(step.answer_states_null).mean() + HELP_MARGIN
    return functional.relu(margin)


def contrast(step: PlayedBatch) -> Float[Tensor, ""]:
    """relu(1 - (CE under another context's message - CE)): the failed experiment's contrast."""
    gap = step.nll(step.answer_states_shuffled).mean() - step.nll(step.answer_states).mean()
    return functional.relu(CONTRAST_MARGIN - gap)


def swap_contrast(step: PlayedBatch) -> Float[Tensor, ""]:
    """Mean of relu(1 - (-log p(target | message about another candidate) + log p(target | right message))).

    The hard negatives are the other messages that were played in the same context, so they cost nothing.

    Raises:
        ValueError: if contexts are played with one message only.
    """
    if step.per_context < 2:
        raise ValueError(
            f"swap_contrast needs messages_per_context of at least 2, got {step.per_context}: "
            "its negatives are the messages about a context's other candidates"
        )
    log_p = functional.log_softmax(step.logits, -1).reshape(-1, step.per_context, step.logits.shape[-1])
    targets = step.targets.view(-1, 1, step.per_context).expand(-1, step.per_context, -1)
    of_target = log_p.gather(-1, targets)  # [g, i, j]: the j-th target under the i-th message
    right = of_target.diagonal(dim1=1, dim2=2)[:, None]
    losses = functional.relu(CONTRAST_MARGIN - (right - of_target))
    others = ~torch.eye(step.per_context, dtype=torch.bool, device=losses.device)
    return losses[:, others].mean()


def reconstruction(said: MessageBatch, heads: Heads) -> Float[Tensor, ""]:
    """Each slot's vector, classified by cosine / 0.1 as the message's tokens that it replaces.

    It ties the prefix to what was said. Cross-entropy alone leaves a good receiver at chance,
    because a prefix that resembles no token gives its matching circuit nothing to match.
    """
    vectors = functional.normalize(said.prefix.vectors.float(), dim=-1)
    cosines = vectors @ functional.normalize(said.tokens.table.float(), dim=-1).T
    nll = -(said.tokens.shares * functional.log_softmax(cosines / COSINE_TEMPERATURE, dim=-1)).sum(-1)
    return nll.sum() / said.tokens.shares.sum()


def attributes(said: MessageBatch, heads: Heads) -> Float[Tensor, ""]:
    """Mean over attributes of -log p(value | latents), under a linear head of its own."""
    logits = heads.attribute_logits(said.latents)
    losses = [functional.cross_entropy(part, said.referents[:, a]) for a, part in enumerate(logits)]
    return torch.stack(losses).mean()


def state_reconstruction(said: MessageBatch, heads: Heads) -> Float[Tensor, ""]:
    """Squared error between unit vectors, the sender's last state and a head's guess of it (no unit).

    The failed experiment's reconstruction; mean over the D numbers of a state.
    """
    guessed = functional.normalize(heads.state(said.latents), dim=-1)
    return functional.mse_loss(guessed, functional.normalize(said.pooled, dim=-1))


def info_nce(step: PlayedBatch) -> Float[Tensor, ""]:
    """-log p(which of 8 messages belongs to a context), by the receiver's own log p(target).

    log 8 minus this is a lower bound on I(message; context and target) in nats (van den Oord et al., 2018).
    """
    rows = torch.arange(0, len(step.targets), step.per_context, device=step.targets.device)[:INFO_NCE_ROWS]
    log_p = functional.log_softmax(step.all_pairs_logits(rows), dim=-1)  # context i, message j
    scores = log_p.gather(-1, step.targets[rows][:, None, None].expand(-1, len(rows), 1))[..., 0]
    return functional.cross_entropy(scores, torch.arange(len(rows), device=scores.device))


def info_preserve(said: MessageBatch, heads: Heads) -> Float[Tensor, ""]:
    """Mean squared difference between pairwise cosines of latents and of the sender's last states (no unit).

    The failed experiment's information term.
    """
    latents = functional.normalize(said.latents.float().flatten(1), dim=-1)
    states = functional.normalize(said.pooled, dim=-1)
    return functional.mse_loss(latents @ latents.T, states @ states.T)


def teacher_kl(step: PlayedBatch) -> Float[Tensor, ""]:
    """KL(receiver told the words || receiver given the prefix) over the candidates (Cheng et al., 2024)."""
    taught = functional.log_softmax(step.text_logits, dim=-1)
    given = functional.log_softmax(step.logits, dim=-1)
    return functional.kl_div(given, taught, log_target=True, reduction="batchmean")


def reinforce(step: PlayedBatch) -> Float[Tensor, ""]:
    """-(reward - baseline) * log pi(codes) (Williams, 1992): the only term that never sees the target.

    The reward is the environment's, 1 for a right pick; the baseline is the mean reward of the
    batch's other rows (Kool et al., 2019).

    Raises:
        ValueError: if the channel does not draw its codes.
    """
    policy = step.policy
    rewards = step.rewards
    baseline = (rewards.sum() - rewards) / max(1, len(rewards) - 1)
    return -((rewards - baseline) * policy.log_probabilities).mean()


def entropy(step: PlayedBatch) -> Float[Tensor, ""]:
    """Minus the policy's mean entropy: less is more undecided."""
    return -step.policy.entropy.mean()


def quantizer(said: MessageBatch, heads: Heads) -> Float[Tensor, ""]:
    """The sum of the channel's own losses; 0 for a channel without any."""
    losses = list(said.relay.losses.values())
    return torch.stack(losses).sum() if losses else torch.zeros((), device=said.pooled.device)


OF_MESSAGES: dict[str, Callable[[MessageBatch, Heads], Tensor]] = {
    "reconstruction": reconstruction,
    "attributes": attributes,
    "state_reconstruction": state_reconstruction,
    "info_preserve": info_preserve,
    "quantizer": quantizer,
}
OF_PLAY: dict[str, Callable[[PlayedBatch], Tensor]] = {
    "ce": ce,
    "help": help_,
    "contrast": contrast,
    "swap_contrast": swap_contrast,
    "info_nce": info_nce,
    "teacher_kl": teacher_kl,
    "reinforce": reinforce,
    "entropy": entropy,
}


def evaluate_objectives(
    said: MessageBatch | PlayedBatch, heads: Heads, objectives: ObjectiveWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and every term that counts, unweighted; messages nobody heard have fewer terms."""
    asked = {name: weight for name, weight in objectives.weights.items() if weight}
    terms = {name: objective(said, heads) for name, objective in OF_MESSAGES.items() if name in asked}
    if isinstance(said, PlayedBatch):
        terms |= {name: objective(said) for name, objective in OF_PLAY.items() if name in asked}
    for name in extra_weights(objectives.extra):
        plugged = OBJECTIVES.find(name)
        if name in asked and (plugged.of == "message" or isinstance(said, PlayedBatch)):
            terms[name] = plugged(said)
    total = torch.stack([asked[name] * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}
