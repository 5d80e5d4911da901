"""The objectives on the plain path: loops over rows, by the formulas that their documentation gives.

A row is one context under one message; no objective of the trainer is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from plain_path import PlainReceiver

from parley.channels.base import ChannelOutput, ReceiverInput, SoftPrompt, TextInput
from parley.training.loss import Loss


@dataclass(frozen=True, kw_only=True)
class Played:
    """A step's rows, context by context: the m-th message of context g is row g * per_context + m."""

    receiver: PlainReceiver
    candidates: list[list[str]]  # what each row's receiver reads
    targets: list[int]
    views: torch.Tensor  # (B, A)
    per_context: int
    output: ChannelOutput
    null: ReceiverInput  # one receiver's content-free one
    texts: Sequence[str]
    pooled: torch.Tensor  # (B, D)
    loss: Loss
    vocabulary: list[int]  # tokens of all that is said of training referents
    among: str
    _odds: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)  # each pair is asked once

    def answer(self, row, message):
        """What the receiver of a row answers to some row's message, or to a receiver input."""
        if not isinstance(message, int):
            return self.receiver.answer(self.candidates[row], message)
        if (row, message) not in self._odds:
            receiver_input = self.output.receiver_input.take(torch.tensor([message]))
            self._odds[row, message] = self.receiver.answer(self.candidates[row], receiver_input)
        return self._odds[row, message]

    def scores(self, row, message):
        """The same as one number a candidate."""
        return self.receiver.scores(self.answer(row, message), len(self.candidates[row]))

    def log_p(self, row, message):
        """Log-probability of each candidate among the candidates."""
        odds = self.scores(row, message)
        return odds - odds.exp().sum().log()

    def nll(self, row, message):
        """-log p of the row's target, among the candidates or among all that could be said."""
        if self.among == "choices":
            return -self.log_p(row, message)[self.targets[row]]
        return self.receiver.nll(self.answer(row, message), self.targets[row])

    @property
    def rows(self):
        return range(len(self.targets))


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def relu(number):
    return number.clamp(min=0)


def unit(vector):
    """Of length 1; zeros stay zeros, at a right angle to everything."""
    return vector / vector.norm() if vector.any() else vector


def cosine(one, other):
    return unit(one) @ unit(other)


def ce(played):
    """Mean nll of the target under the right message."""
    return mean(played.nll(row, row) for row in played.rows)


def help_(played):
    """relu(CE - CE under the content-free prefix + 0.2)."""
    with torch.no_grad():
        without = mean(played.nll(row, played.null) for row in played.rows)
    return relu(ce(played) - without + 0.2)


def contrast(played):
    """relu(1 - (CE under the message of the context before - CE))."""
    wrong = mean(played.nll(row, (row - played.per_context) % len(played.rows)) for row in played.rows)
    return relu(1 - (wrong - ce(played)))


def swap_contrast(played):
    """Mean of relu(1 - (log p(target | right message) - log p(target | a neighbour's message)))."""
    losses = []
    for row in played.rows:
        first, target = row - row % played.per_context, played.targets[row]
        right = played.log_p(row, row)[target]
        others = [other for other in range(first, first + played.per_context) if other != row]
        losses += [relu(1 - (right - played.log_p(row, other)[target])) for other in others]
    return mean(losses)


def info_nce(played):
    """-log p(own message | context) among the first messages of eight contexts, by log p(target)."""
    firsts = list(played.rows)[:: played.per_context][:8]
    losses = []
    for row in firsts:
        scores = torch.stack([played.log_p(row, message)[played.targets[row]] for message in firsts])
        losses.append(scores.exp().sum().log() - scores[firsts.index(row)])
    return mean(losses)


def teacher_kl(played):
    """Mean of sum p(told) (log p(told) - log p(given)) over the candidates."""
    losses = []
    for row in played.rows:
        with torch.no_grad():
            told = played.log_p(row, TextInput([played.texts[row]]))
        losses.append((told.exp() * (told - played.log_p(row, row))).sum())
    return mean(losses)


def rewards(played):
    """1 for each row whose receiver picks the target."""
    with torch.no_grad():
        return [float(played.scores(row, row).argmax() == played.targets[row]) for row in played.rows]


def reinforce(played):
    """Mean of -(reward - mean reward of the other rows) * log pi(codes)."""
    paid = rewards(played)
    losses = []
    for row in played.rows:
        baseline = (sum(paid) - paid[row]) / (len(paid) - 1)
        losses.append(-(paid[row] - baseline) * played.output.policy.log_probabilities[row])
    return mean(losses)


def entropy(played):
    """Minus the mean entropy of the policy."""
    return -mean(played.output.policy.entropy[row] for row in played.rows)


def quantizer(played):
    """The sum of the channel's own losses."""
    return sum(played.output.losses.values(), start=torch.zeros(()))


def reconstruction(played):
    """Mean over slots that have tokens of -log p(token), by cosine / 0.1 over the vocabulary.

    Token j of a message of M belongs to slot floor(j k / M); of a slot with several the mean counts.
    """
    weight = played.receiver.model.get_input_embeddings().weight.float()
    table = torch.stack([unit(weight[token]) for token in played.vocabulary])
    losses = []
    for row in played.rows:
        vectors = played.output.receiver_input.vectors[row].float()
        tokens = played.receiver.tokens_of(played.texts[row])
        for slot, vector in enumerate(vectors):
            own = [t for j, t in enumerate(tokens) if math.floor(j * len(vectors) / len(tokens)) == slot]
            if own:
                odds = table @ unit(vector) / 0.1
                losses.append(mean(odds.logsumexp(0) - odds[played.vocabulary.index(t)] for t in own))
    return mean(losses)


def attributes(played):
    """Mean over rows and attributes of -log p(value), by the head's log-odds."""
    losses, objective = [], played.loss.objectives["attributes"]
    for row in played.rows:
        guesses = objective.head(played.output.latents[row].flatten()).split(objective._num_values)
        for odds, value in zip(guesses, played.views[row].tolist(), strict=True):
            losses.append(odds.logsumexp(0) - odds[value])
    return mean(losses)


def state_reconstruction(played):
    """Mean squared difference of the numbers of two unit vectors, the sender's state and the head's guess."""
    losses = []
    for row in played.rows:
        head = played.loss.objectives["state_reconstruction"].head
        guess = head(played.output.latents[row].flatten())
        state = played.pooled[row]
        losses.append(((unit(guess) - unit(state)) ** 2).mean())
    return mean(losses)


def info_preserve(played):
    """Mean over all pairs of rows of the squared difference between two cosines."""
    latents, states = played.output.latents.flatten(1), played.pooled
    return mean(
        (cosine(latents[one], latents[other]) - cosine(states[one], states[other])) ** 2
        for one in played.rows
        for other in played.rows
    )


PLAIN = {
    "ce": ce,
    "help": help_,
    "contrast": contrast,
    "swap_contrast": swap_contrast,
    "reconstruction": reconstruction,
    "attributes": attributes,
    "state_reconstruction": state_reconstruction,
    "info_nce": info_nce,
    "info_preserve": info_preserve,
    "teacher_kl": teacher_kl,
    "reinforce": reinforce,
    "entropy": entropy,
    "quantizer": quantizer,
}
OF_LATENTS = ("attributes", "state_reconstruction", "info_preserve")
OF_POLICIES = ("reinforce", "entropy")


def terms_of(output) -> list[str]:
    """The objectives that can be asked of what came through a channel."""
    return [
        name
        for name in PLAIN
        if (name not in OF_LATENTS or output.latents is not None)
        and (name not in OF_POLICIES or output.policy is not None)
        and (name != "reconstruction" or isinstance(output.receiver_input, SoftPrompt))
    ]
