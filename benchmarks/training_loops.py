"""One training step as Parley makes it, and as it would be written without it: the peers of the comparison.

All three take the same frozen model, the same codec and the same prompts as token ids, ask the same
of it, and come back with the gradient in the codec's parameters. Where a choice had to be made for
the others, it is the one that favours them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from parley.agents.language_model import FrozenLM
from parley.agents.readouts.label import LabelReadout
from parley.agents.receiver import Receiver
from parley.channels.base import Channel, ModelInterface, SoftPrompt, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel, LatentChannel

MARGIN = 1.0
HELP_MARGIN = 0.2
NUM_CANDIDATES = 5


@dataclass(frozen=True, kw_only=True)
class Task:
    """G contexts of T tokens, each with the right message and M others.

    Args:
        receiver: the frozen model.
        channel: the codec that is trained.
        prompts: token ids up to the slot (G, T).
        utterance: of the G * (1 + M) messages, context by context, the right one first.
        targets: the right candidates (G,).
    """

    receiver: Receiver
    channel: LatentChannel
    prompts: Int[Tensor, "G T"]
    utterance: Utterance
    targets: Int[Tensor, " G"]

    @property
    def per_context(self) -> int:
        """1 + M."""
        return len(self.utterance.texts) // len(self.prompts)


def make_task(lm: FrozenLM, *, contexts: int, tokens: int, further: int, seed: int = 0) -> Task:
    """Random prompts and random states of a sender: what is said does not matter to the clock."""
    generator = torch.Generator().manual_seed(seed)
    messages = contexts * (1 + further)
    prompts = torch.randint(3, len(lm.tokenizer), (contexts, tokens), generator=generator)
    states = torch.randn(messages, 35, lm.width, generator=generator)
    targets = torch.randint(NUM_CANDIDATES, (contexts,), generator=generator)
    interface = ModelInterface(
        state_width=lm.width, num_positions=35, embedding_width=lm.width, embedding_norm=lm.embedding_norm()
    )
    torch.manual_seed(seed)
    channel = ContinuousChannel(CodecConfig(), interface).to(lm.device).train()
    utterance = Utterance(
        [""] * messages, states.to(lm.device), torch.ones(messages, 35, dtype=torch.bool, device=lm.device)
    )
    return Task(
        receiver=Receiver(lm),
        channel=channel,
        prompts=prompts.to(lm.device),
        utterance=utterance,
        targets=targets.to(lm.device),
    )


def label_ids(receiver: Receiver, num_choices: int) -> Int[Tensor, " N"]:
    """The tokens that name the choices."""
    assert isinstance(receiver.readout, LabelReadout), "the bare loops read labels"
    return receiver.readout.label_ids[:num_choices]


def parley_step(task: Task) -> Tensor:
    """The context is read once, without gradient; all its messages are run behind it, side by side."""
    prefix = task.channel(task.utterance).receiver_input
    context = task.receiver.read_tokens(task.prompts.tolist(), NUM_CANDIDATES)
    return _learn(task, task.receiver.choose(context, prefix))


def batched_step(task: Task) -> Tensor:
    """The ordinary soft prompt: vectors first, the whole prompt behind them, anew for every message."""
    lm, each = task.receiver.lm, task.per_context
    prefix = task.channel(task.utterance).receiver_input
    assert isinstance(prefix, SoftPrompt), "a codec delivers vectors"
    vectors = prefix.vectors.reshape(len(task.prompts), each, *prefix.vectors.shape[1:])
    tail = torch.tensor(task.receiver.tail, device=lm.device).expand(len(task.prompts), -1)
    prompt = lm.embed(torch.cat([task.prompts, tail], dim=1))
    passes = []
    for number in range(each):
        inputs = torch.cat([vectors[:, number].to(prompt), prompt], dim=1)
        # the last position's log-odds alone: an ordinary loop would take all of them
        logits = lm.model(inputs_embeds=inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
        passes.append(logits[:, label_ids(task.receiver, NUM_CANDIDATES)].float())
    return _learn(task, torch.stack(passes, dim=1).flatten(0, 1))


def _learn(task: Task, logits: Float[Tensor, "B N"]) -> Tensor:
    """Cross-entropy under the right message, and a margin by which every other must be worse."""
    targets = task.targets.repeat_interleave(task.per_context)
    nll = functional.cross_entropy(logits, targets, reduction="none").reshape(-1, task.per_context)
    right, others = nll[:, :1], nll[:, 1:]
    loss = right.mean() + functional.relu(MARGIN - (others - right)).sum(1).mean()
    task.channel.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample of the failed experiment's loop, as token ids.

    Args:
        said: the sender's prompt and its message.
        other_said: those of another sample, for the contrast.
        length: of a message; the codec is given the states over the last so many tokens.
        prompt: the receiver's, up to the slot.
        target: the right candidate.
    """

    said: list[int]
    other_said: list[int]
    length: int
    prompt: list[int]
    target: int


def one_by_one_step(receiver: Receiver, channel: Channel, samples: list[Sample]) -> float:
    """The failed experiment's: sample by sample, two encodings by the sender, three whole passes, no cache.

    Cross-entropy, half the contrast with margin 1 and the help loss with margin .2; its two terms that
    need no pass of the receiver are left out, which favours it.
    """
    channel.zero_grad(set_to_none=True)
    total = 0.0
    for sample in samples:
        right, other = (
            channel(_encode(receiver.lm, said, sample.length)).receiver_input.vectors
            for said in (sample.said, sample.other_said)
        )
        nll = _whole_pass(receiver, sample, right)
        contrast = functional.relu(MARGIN - (_whole_pass(receiver, sample, other) - nll))
        with torch.no_grad():
            silent = _whole_pass(receiver, sample, torch.zeros_like(right))
        loss = nll + 0.5 * contrast + functional.relu(nll - silent + HELP_MARGIN)
        (loss / len(samples)).backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total / len(samples)


@torch.no_grad()
def _encode(lm: FrozenLM, ids: list[int], length: int) -> Utterance:
    """The sender's last states over one message, read behind its prompt."""
    tokens = torch.tensor([ids], device=lm.device)
    states = lm.model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states[-1]
    mask = torch.ones(1, length, dtype=torch.bool, device=lm.device)
    return Utterance([""], states[:, -length:].float(), mask)


def _whole_pass(receiver: Receiver, sample: Sample, vectors: Float[Tensor, "1 k E"]) -> Float[Tensor, ""]:
    """-log p(the target's label) with the prefix before the whole prompt."""
    lm = receiver.lm
    ids = torch.tensor([sample.prompt + receiver.tail], device=lm.device)
    inputs = torch.cat([vectors.to(lm.dtype), lm.embed(ids)], dim=1)
    logits = lm.model(inputs_embeds=inputs, use_cache=False).logits[0, -1].float()
    return -functional.log_softmax(logits[label_ids(receiver, NUM_CANDIDATES)], -1)[sample.target]
