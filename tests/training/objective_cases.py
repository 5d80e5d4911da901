"""A receiver whose answers are written down, and steps played with it."""

import torch

from parley.agents.receiver import Context, Receiver
from parley.channels.base import ChannelOutput, Policy, SoftPrompt, TextInput, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel
from parley.channels.testing import ENDS
from parley.training.heads import Heads
from parley.training.step import MessageBatch, MessageTokens, PlayedBatch

NULL = 0  # the message number of a prefix of zeros


class Telephone(Receiver):
    """Context c under message m is answered by `logits[c, m]`, over a vocabulary of all tokens there are.

    A prefix's first number is the message's; message 0 is the content-free prefix, and a text is
    its message's number in words.
    """

    def __init__(self, logits, label_ids):
        self.table, self.label_ids = logits, torch.tensor(label_ids)
        self.calls, self.with_gradient = [], []

    def answer_states(self, context, receiver_input):
        if isinstance(receiver_input, TextInput):
            messages = torch.tensor([int(text) for text in receiver_input.texts])
        else:
            messages = receiver_input.vectors[:, 0, 0].round().long()
        contexts = context.ids[:, 0].repeat_interleave(len(messages) // len(context.ids))
        self.calls.append(list(zip(contexts.tolist(), messages.tolist(), strict=True)))
        self.with_gradient.append(torch.is_grad_enabled())
        return self.table[contexts, messages]

    def label_logits(self, hidden, num_candidates):
        return hidden[:, self.label_ids[:num_candidates]]

    def vocabulary_logits(self, hidden):
        return hidden


def contexts(num, num_candidates):
    ids = torch.arange(num)[:, None]
    return Context((), ids, torch.ones_like(ids, dtype=torch.bool), num_candidates)


def numbered(messages, at_start=False):
    """Prefixes of one slot that hold nothing but their message's number."""
    return SoftPrompt(torch.tensor(messages, dtype=torch.float32)[:, None, None].expand(-1, 1, 3), at_start)


def make_said(vectors, shares=None, losses=None, latents=None, pooled=None, referents=None):
    """Messages nobody has heard; what is not given is zeros."""
    num, slots = len(vectors), vectors.shape[1]
    shares = torch.zeros(num, slots, 1) if shares is None else shares
    return MessageBatch(
        utterance=Utterance(["1"] * num, torch.zeros(num, 1, 2), torch.ones(num, 1, dtype=torch.bool)),
        relay=ChannelOutput(SoftPrompt(vectors), losses or {}, vectors if latents is None else latents),
        pooled=torch.zeros(num, 2) if pooled is None else pooled,
        referents=torch.zeros(num, 1, dtype=torch.long) if referents is None else referents,
        tokens=MessageTokens(torch.eye(10)[: shares.shape[-1], : vectors.shape[-1]], shares),
    )


def make_step(logits, targets, per_context=1, policy=None, label_ids=None, **settings):
    """A step whose row r is context r // per_context under message r + 1.

    Args:
        logits: (contexts, messages + 1, tokens) the answers.
        targets: the rows' right candidates.
        per_context: M.
        policy: of the channel.
        label_ids: tokens of the candidates' labels; by default all tokens, in order.
    """
    logits = torch.as_tensor(logits, dtype=torch.float32)
    num = len(targets)
    label_ids = list(range(logits.shape[-1])) if label_ids is None else label_ids
    prefix = numbered(range(1, num + 1), settings.pop("at_start", False))
    said = make_said(prefix.vectors)
    return PlayedBatch(
        utterance=Utterance([str(row + 1) for row in range(num)], *said.utterance[1:]),
        relay=ChannelOutput(prefix, {}, prefix.vectors, policy),
        pooled=said.pooled,
        referents=said.referents,
        tokens=said.tokens,
        receiver=Telephone(logits, label_ids),
        context=contexts(num // per_context, len(label_ids)),
        null=numbered([NULL] * num, prefix.at_start),
        targets=torch.tensor(targets),
        per_context=per_context,
        **settings,
    )


def make_policy(log_probabilities, entropy=None):
    given = torch.tensor(log_probabilities, requires_grad=True)
    return Policy(given, torch.zeros(len(given)) if entropy is None else torch.tensor(entropy))


def make_heads(wanted, num_slots=2, latent_width=3, num_values=(2, 4)):
    config = CodecConfig(k=num_slots, latent_width=latent_width)
    return Heads(ContinuousChannel(config, ENDS), list(num_values), wanted)
