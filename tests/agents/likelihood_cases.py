"""Receivers that are read by the likelihood of texts, and what they hear; the plain score of one text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from parley.agents.examples import Examples, Solved, Spoken
from parley.agents.features import cache_rows
from parley.agents.language_model import FrozenLM
from parley.agents.player import ReceiverSettings
from parley.agents.prompts import SLOT
from parley.agents.receiver import Receiver
from parley.channels.base import ActivationPatch, CacheEntries, ReceiverInput, SoftPrompt, TextInput

# candidates of 1 to 7 tokens, prompts of different length
ROWS = [
    ["B", "very large dark sea blue ball", "tiny ring"],
    ["very large dark sea blue round cone", "star", "white disc"],
]
TEXTS = ["tiny red cube", "star", "", "very large dark sea blue round cone, indeed", "ball", "white"]
EXAMPLES = Examples(
    spoken=[Spoken((("size", "tiny"),), "tiny white cube")],
    solved=[Solved(["tiny white cube", "red star", "very large ball"], "tiny white cube", 0)],
    neutral=["tiny blue disc", "very large red cube, or so"],
)
CALIBRATED = ReceiverSettings(readout="likelihood", calibration="content_free", shots=1)


def receiver_of(lm: FrozenLM, settings: ReceiverSettings = CALIBRATED) -> Receiver:
    """By default one that is shown an example and calibrated."""
    return Receiver(lm, settings, EXAMPLES)


def prefix(lm: FrozenLM, at_start: bool = False) -> SoftPrompt:
    """Six of different length, three for each context; one of no vectors."""
    torch.manual_seed(0)
    vectors = torch.randn(6, 3, lm.width) * lm.embedding_norm() / lm.width**0.5
    return SoftPrompt(vectors, at_start, torch.arange(3) < torch.tensor([3, 1, 2, 0, 3, 2])[:, None])


def receiver_inputs(lm: FrozenLM) -> dict[str, ReceiverInput]:
    """Three messages for each of ROWS, of every kind that a full pass can hold."""
    return {
        "text": TextInput(TEXTS),
        "prefix": prefix(lm),
        "at the start": prefix(lm, at_start=True),
        "patch": ActivationPatch(prefix(lm).vectors[:, 0], 0.5, "add"),
        "silence": SoftPrompt(torch.zeros(6, 0, lm.width)),
    }


def entries_of(receiver: Receiver, texts: Sequence[str]) -> CacheEntries:
    """What reading three texts behind each of ROWS leaves in every layer, un-rotated; the end is padding."""
    context = receiver.read(ROWS).repeat(3)
    tokens = receiver.message_tokens(texts)
    slots, heads = max(map(len, tokens)), context.layers[0][0].shape[1]
    rows = torch.zeros(len(texts), slots, len(context.layers) * 2 * heads * context.layers[0][0].shape[3])
    for row, own in enumerate(tokens):
        read = context.ids[row][context.mask[row]].tolist()
        if own:
            whole, mask = receiver.lm.left_pad([read + own])
            rows[row, : len(own)] = cache_rows(receiver.lm, whole, mask)[0, len(read) :]
    split = rows.reshape(len(texts), slots, 2, len(context.layers), heads, -1).permute(2, 0, 3, 4, 1, 5)
    mask = torch.arange(slots) < torch.tensor([len(own) for own in tokens])[:, None]
    return CacheEntries(split[0], split[1], mask)


def plain_score(receiver: Receiver, options: Sequence[str], message: str, text: str) -> Tensor:
    """Log-probability of one text after the whole chat with one message in it, in one pass of one row."""
    asked = receiver.readout.prompt(options).replace(SLOT, f" {message}" if message else "")
    chat, answer = receiver.lm.encode(receiver.lm.render(asked, receiver.turns)), receiver.lm.encode(text)
    with torch.no_grad():
        log_p = receiver.lm.model(torch.tensor([chat + answer])).logits[0].log_softmax(-1)
    return sum((log_p[len(chat) - 1 + i, token] for i, token in enumerate(answer)), start=torch.zeros(()))
