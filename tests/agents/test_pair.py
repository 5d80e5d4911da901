"""Two models around a channel, from the sender's referent to the receiver's logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import AS_LETTERS
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair, ReceiverView
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import Channel, SoftPrompt, TextInput, Utterance
from parley.channels.checkpoint import CheckpointError, load_channel, save_channel
from parley.channels.conditions import conditions
from parley.channels.receiver_input import zeros_like_input
from parley.channels.registry import channel_class, channel_names
from parley.channels.text import CHARSET, TextChannel
from parley.envs.world import World

LATENT = ["latent", "latent_fsq", "latent_gumbel", "latent_rvq", "latent_vq", "symbols"]
FEW_CODES: dict[str, Any] = {  # fewer than there are training referents
    "latent_vq": {"codebook_size": 8},
    "latent_gumbel": {"codebook_size": 8},
}


def channel_for(pair: Pair, name: str) -> Channel:
    torch.manual_seed(0)
    kind = channel_class(name)
    channel = kind(kind.Config(**FEW_CODES.get(name, {})), pair.interface)
    pair.prepare(channel)
    return channel.eval()


def candidates(pair: Pair, rows: int = 4) -> np.ndarray:
    return pair.world.referents("train")[: rows * 3].reshape(rows, 3, -1)


def snapshot(pair: Pair) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in pair.receiver.lm.model.state_dict().items()}


def test_one_name_is_one_model(qwen2_folder: Path, small_world: World) -> None:
    pair = Pair.load(ModelConfig(model=str(qwen2_folder), device="cpu", shots=0), small_world)
    assert pair.sender.lm is pair.receiver.lm
    assert pair.device == torch.device("cpu")
    assert pair.fingerprints["sender"] == pair.fingerprints["receiver"]


def test_two_different_models_play(qwen2_folder: Path, other_folder: Path, small_world: World) -> None:
    """Other widths, other tokenizers."""
    for ours, theirs, widths in (
        (qwen2_folder, other_folder, (32, 48)),
        (other_folder, qwen2_folder, (48, 32)),
    ):
        config = ModelConfig(
            model="pocket", sender=str(ours), receiver=str(theirs), device="cpu", **AS_LETTERS
        )
        pair = Pair.load(config, small_world)
        assert (pair.interface.state_width, pair.interface.embedding_width) == widths
        assert pair.interface.embedding_norm == pytest.approx(pair.receiver.lm.embedding_norm(), abs=1e-6)
        assert pair.interface.num_positions == pair.sender.num_positions
        assert pair.fingerprints["sender"] != pair.fingerprints["receiver"]
        context = pair.read(list(candidates(pair)))
        for name in channel_names():
            if (incompatibility := channel_class(name).incompatibility(pair.interface)) is not None:
                assert name in ("activation", "cipher"), incompatibility
                continue
            channel = channel_for(pair, name)
            seen = ReceiverView(list(candidates(pair)), [0] * 4)
            utterance = pair.speak(channel, candidates(pair)[:, 0], seen)
            logits = pair.receiver.choose(context, channel.receive(channel.send(utterance)))
            assert logits.shape == (4, 3)
            assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ("meta", "device must be auto, cpu, cuda or cuda:N, got 'meta'"),
        ("", "device must be auto, cpu, cuda or cuda:N, got ''"),
        ("cuda:99", r"device 'cuda:99' is not there: torch sees \d+ CUDA devices"),
    ],
)
def test_a_device_must_be_there(small_world: World, device: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pair.load(ModelConfig(device=device), small_world)


def test_auto_is_cuda_where_there_is_one(qwen2_folder: Path, small_world: World) -> None:
    pair = Pair.load(ModelConfig(model=str(qwen2_folder)), small_world)
    assert pair.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", LATENT)
def test_training_moves_the_codec_and_nothing_else(pair: Pair, name: str) -> None:
    channel = channel_for(pair, name).train()
    before, codec = snapshot(pair), {n: p.detach().clone() for n, p in channel.named_parameters()}
    optimizer = torch.optim.AdamW(channel.parameters(), lr=1e-2)
    context = pair.read(list(candidates(pair)))
    for _ in range(2):
        relay = channel.relay(pair.sender.speak(candidates(pair)[:, 0]))
        logits = pair.receiver.choose(context, relay.receiver_input)
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
        optimizer.zero_grad()
        (loss + sum(relay.losses.values())).backward()
        for n, parameter in channel.named_parameters():
            assert parameter.grad is not None, n
            assert parameter.grad.any(), f"failure 11: no gradient through the receiver to {n}"
        optimizer.step()
    after = pair.receiver.lm.model.state_dict()
    assert all(torch.equal(tensor, after[n]) for n, tensor in before.items()), "bit for bit"
    assert all(parameter.grad is None for parameter in pair.receiver.lm.model.parameters())
    assert all(not torch.equal(p, codec[n]) for n, p in channel.named_parameters())
    null = channel.null_input(4).vectors
    assert not null.any(), "after training too"


@pytest.mark.parametrize("name", LATENT)
def test_an_fp32_codec_learns_between_bf16_models(qwen2_folder: Path, small_world: World, name: str) -> None:
    """Failure 7: the codec was in one precision and the model in another."""
    lm = FrozenLM(str(qwen2_folder), dtype=torch.bfloat16)
    pair = Pair(Sender(lm, small_world), Receiver(lm), small_world)
    channel = channel_for(pair, name).train()
    relay = channel.relay(pair.sender.speak(candidates(pair)[:, 0]))
    logits = pair.receiver.choose(pair.read(list(candidates(pair))), relay.receiver_input)
    assert logits.dtype == torch.float32
    logits.logsumexp(-1).sum().backward()
    for parameter in channel.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", LATENT)
def test_gate_0_is_null_for_the_receiver_too(pair: Pair, name: str) -> None:
    channel = channel_for(pair, name)
    torch.nn.init.zeros_(channel.decoder.scale_gate)
    context = pair.read(list(candidates(pair)))
    answer_states = channel.receive(channel.send(pair.sender.speak(candidates(pair)[:, 0])))
    ours, null = (
        pair.receiver.choose(context, answer_states),
        pair.receiver.choose(context, channel.null_input(4)),
    )
    assert torch.equal(ours, null)


@pytest.mark.parametrize("name", LATENT)
def test_the_words_never_reach_the_receiver_through_a_latent_channel(
    pair: Pair, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure 2: the text message stood in B's prompt in latent conditions."""
    sentinel = "SENTINEL 31415"
    seen: list[str] = []
    lm = type(pair.receiver.lm)
    for method in ("encode", "encode_plain", "render"):
        original = getattr(lm, method)

        def noted(self, text: str, *turns, original=original):  # type: ignore[no-untyped-def]
            seen.append(text)
            return original(self, text, *turns)

        monkeypatch.setattr(lm, method, noted)
    channel = channel_for(pair, name)
    utterance = pair.sender.speak(candidates(pair)[:, 0])
    seen.clear()
    marked = utterance._replace(texts=[f"{sentinel} {text}" for text in utterance.texts])
    message, unmarked = channel.send(marked), channel.send(utterance)
    assert all(np.array_equal(a, b) for a, b in zip(message, unmarked, strict=True))
    receiver_input = channel.receive(message)
    assert isinstance(receiver_input, SoftPrompt)
    pair.receiver.choose(pair.read(list(candidates(pair))), receiver_input)
    assert seen, "the candidates were read"
    assert not any(sentinel in text or "SENTINEL" in text for text in seen)
    words = channel_for(pair, "text")
    pair.receiver.choose(pair.read(list(candidates(pair))), words.receive(words.send(marked)))
    assert any(sentinel in text for text in seen), "and through the text channel they do"


@settings(deadline=None, max_examples=25, database=None)
@given(texts=st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_whatever_a_sender_says_a_text_receiver_can_hear(
    receiver: Receiver, small_world: World, texts: list[str]
) -> None:
    width = receiver.lm.width
    states, mask = torch.zeros(len(texts), 1, width), torch.ones(len(texts), 1, dtype=torch.bool)
    pair = Pair(Sender(receiver.lm, small_world), receiver, small_world)
    channel = TextChannel(TextChannel.Config(), pair.interface)
    answer_states = channel.receive(channel.send(Utterance(texts, states, mask)))
    assert isinstance(answer_states, TextInput)
    assert all(set(text) <= set(CHARSET) for text in answer_states.texts)
    context = pair.read(list(candidates(pair, len(texts))))
    assert receiver.choose(context, answer_states).isfinite().all()


@pytest.mark.parametrize("name", channel_names())
def test_all_conditions_play_from_one_context(pair: Pair, name: str) -> None:
    channel = channel_for(pair, name)
    context = pair.read(list(candidates(pair)))
    shown, rng = candidates(pair), np.random.default_rng(0)
    sent = channel.send(pair.speak(channel, shown[:, 0], ReceiverView(list(shown), [0] * len(shown))))
    logits = {}
    for condition in conditions():
        messages = [condition.deliver(message, channel.message_space, rng, sent) for message in sent]
        free = condition.content_free
        receiver_input = (
            zeros_like_input(channel.null_input(len(sent))) if free else channel.receive(messages)
        )
        logits[condition.name] = pair.receiver.choose(context, receiver_input)
        assert logits[condition.name].isfinite().all()
    if name in LATENT:
        assert not torch.equal(logits["normal"], logits["null"])
        assert not torch.equal(logits["normal"], logits["random"])


def test_a_codec_is_held_to_the_sender_s_precision(qwen2_folder: Path, small_world, tmp_path: Path) -> None:
    """It would take another precision's rounding of the states for meaning."""
    single, half = (
        Pair.load(ModelConfig(model=str(qwen2_folder), device="cpu", dtype=dtype), small_world)
        for dtype in ("float32", "bfloat16")
    )
    assert half.fingerprints["sender"] == f"{single.fingerprints['sender']}-bfloat16"
    assert half.fingerprints["receiver"] == single.fingerprints["receiver"]
    channel = channel_class("latent")(channel_class("latent").Config(), single.interface)
    save_channel(tmp_path / "c.safetensors", channel, single.fingerprints, {})
    with pytest.raises(CheckpointError, match="trained for the sender in another precision, see --dtype"):
        load_channel(tmp_path / "c.safetensors", half.interface, half.fingerprints)
