"""`kv`: what a sender keeps of its own words, in the receiver's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.agents.model_channels.kv import BOUND, CacheShape, KvChannel, KvConfig
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import CacheEntries, SenderFeatures
from parley.channels.receiver_input import num_positions
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS
from parley.envs.world import Referents, World

SAID = ["tiny", "very large dark sea blue round cone, indeed so", "very large red", "tiny dark sea blue star"]
NEAR: dict[str, Any] = {"rtol": 1e-2, "atol": 5e-3}  # the correction begins next to nothing, not at nothing


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender says the lines of SAID, by the referent's number."""

    def say(self: Sender, referents: list[Referents]) -> list[str]:
        return [SAID[int(self.world.index(referent)) % len(SAID)] for referent in referents]

    monkeypatch.setattr(Sender, "_describe", say)


def make(pair: Pair, prepared: bool = True, **settings: Any) -> KvChannel:
    torch.manual_seed(0)
    channel = KvChannel(KvConfig(**settings), pair.interface)
    if prepared:
        pair.prepare(channel)
    return channel.eval()


def some(world: World) -> Referents:
    """Four that are spoken of in messages of four lengths."""
    everyone = world.referents("train")
    numbers = world.index(everyone) % len(SAID)
    return np.stack([everyone[int(np.argmax(numbers == number))] for number in range(len(SAID))])


def apart(rows: Tensor, shape: CacheShape) -> tuple[Tensor, Tensor]:
    """A sender's cache (B, T, F) as keys and values (B, L, H, T, W)."""
    both = rows.reshape(*rows.shape[:2], 2, *shape).permute(2, 0, 3, 4, 1, 5)
    return both[0], both[1]


def memory_equals(memory: CacheEntries, keys: Tensor, values: Tensor, mask: Tensor) -> None:
    """Wherever both count."""
    assert memory.mask is not None
    tokens = min(mask.shape[1], memory.mask.shape[1])
    assert torch.equal(memory.mask[:, :tokens], mask[:, :tokens])
    assert not memory.mask[:, tokens:].any()
    counted = mask[:, None, None, :tokens, None]
    for ours, theirs in ((memory.keys, keys), (memory.values, values)):
        torch.testing.assert_close(ours[..., :tokens, :] * counted, theirs[..., :tokens, :] * counted, **NEAR)


@pytest.mark.parametrize("prepared", [False, True])
@torch.no_grad()
def test_between_a_model_and_itself_it_begins_with_the_senders_own_cache(
    any_lm: FrozenLM, small_world: World, prepared: bool
) -> None:
    pair = Pair(Sender(any_lm, small_world), Receiver(any_lm), small_world)
    channel, referents = make(pair, prepared, max_tokens=16), some(small_world)
    rows, mask = pair.sender.read(referents, SenderFeatures(of="message", what="cache"))
    lengths = mask.sum(1)
    assert len(lengths.unique()) > 2
    assert lengths.max() < 16
    messages = channel.send(pair.speak(channel, referents))
    assert max(np.abs(message).max() for message in messages) < BOUND, "nothing is clipped"
    answer_states = channel.receive(messages)
    keys, values = apart(rows, CacheShape.of(any_lm))
    memory_equals(answer_states, keys, values, mask)
    context = pair.read([referents] * 4)
    wanted = pair.receiver.choose(context, CacheEntries(keys, values, mask))
    torch.testing.assert_close(pair.receiver.choose(context, answer_states), wanted, rtol=0, atol=2e-4)
    nothing = pair.receiver.choose(context, answer_states._replace(mask=torch.zeros(4, 16, dtype=torch.bool)))
    assert ((wanted - nothing).abs().amax(-1) > 1e-3).all(), "it is heard"


def test_longer_messages_are_cut_and_rows_after_shorter_ones_take_no_position(pair: Pair) -> None:
    channel, referents = make(pair, max_tokens=4), some(pair.world)
    utterance = pair.speak(channel, referents)
    lengths = utterance.mask.sum(1)
    assert lengths.min() < 4 < lengths.max()
    messages = channel.send(utterance)
    for message, length in zip(messages, lengths.tolist(), strict=True):
        assert message.shape == (4, channel.state_width)
        assert message[: min(4, length)].any(-1).all()
        assert not message[length:].any()
    answer_states = channel.receive(messages)
    assert num_positions(answer_states).tolist() == lengths.clamp(max=4).tolist()
    keys, values = apart(utterance.states, channel.sent)
    memory_equals(answer_states, keys, values, utterance.mask)
    context = pair.read([referents] * 4)
    noisy = answer_states._replace(
        **{
            name: torch.where(answer_states.mask[:, None, None, :, None], getattr(answer_states, name), 50.0)
            for name in ("keys", "values")
        }
    )
    logits = pair.receiver.choose(context, answer_states)
    torch.testing.assert_close(pair.receiver.choose(context, noisy), logits, rtol=1e-4, atol=1e-5)


def test_what_crosses_is_in_standard_deviations_and_clipped(pair: Pair) -> None:
    channel = make(pair)
    utterance = pair.speak(channel, pair.world.referents("train"))
    crossed = np.stack(channel.send(utterance))
    counted = utterance.mask[:, : channel.num_slots].numpy()
    assert abs(crossed[:, 0][counted[:, 0]].mean()) < 0.01
    assert crossed[:, 0][counted[:, 0]].std() == pytest.approx(1, abs=0.1)
    for message in channel.send(utterance._replace(states=1e4 * utterance.states)):
        assert channel.message_space.contains(message)
        assert np.abs(message).max() == BOUND
    assert channel.message_bits(crossed[0]) == 32 * crossed[0].size == 32 * 8 * 2 * 3 * 4 * 8


def test_null_is_entries_of_zeros_that_count(pair: Pair) -> None:
    null = make(pair).null_input(3)
    assert null.keys.shape == null.values.shape == (3, 3, 4, 8, 8)
    assert not null.keys.any()
    assert not null.values.any()
    assert num_positions(null).tolist() == [8, 8, 8]


def two_models(ours: FrozenLM, theirs: FrozenLM, world: World) -> Pair:
    return Pair(Sender(ours, world), Receiver(theirs), world)


@pytest.mark.parametrize("other", ["other_folder", "qwen3_folder"])
def test_models_of_other_depth_heads_and_vocabulary_are_joined(
    lm: FrozenLM, other: str, small_world: World, request: pytest.FixtureRequest
) -> None:
    theirs = FrozenLM(str(request.getfixturevalue(other)))
    for pair in (two_models(lm, theirs, small_world), two_models(theirs, lm, small_world)):
        channel, referents = make(pair).train(), some(small_world)
        assert channel.incompatibility(pair.interface) is None
        layers, heads, width = CacheShape.of(pair.receiver.lm)
        answer_states = channel.relay(pair.speak(channel, referents)).receiver_input
        assert answer_states.keys.shape == answer_states.values.shape == (4, layers, heads, 8, width)
        logits = pair.receiver.choose(pair.read([referents] * 4), answer_states)
        logits.logsumexp(-1).sum().backward()
        for name, parameter in channel.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize(("ours_first", "froms"), [(True, [0, 1]), (False, [0, 0, 1])])
@torch.no_grad()
def test_each_layer_hears_of_the_layer_as_deep(
    lm: FrozenLM, other_folder: Path, small_world: World, ours_first: bool, froms: list[int]
) -> None:
    """Three layers to two, and two to three."""
    theirs = FrozenLM(str(other_folder))
    first, second = (lm, theirs) if ours_first else (theirs, lm)
    channel = make(two_models(first, second, small_world), prepared=False)
    message = np.zeros((1, 8, channel.state_width), dtype=np.float32)
    message[0, 0] = 1  # or there would be no message at all
    before = channel.receive(list(message))
    for layer in range(first.num_layers):
        changed = message.reshape(1, 8, 2, *channel.sent).copy()
        changed[:, 0, :, layer] = 2
        after = channel.receive(list(changed.reshape(message.shape)))
        moved = (after.keys != before.keys).flatten(2).any(2)[0]
        assert moved.tolist() == [source == layer for source in froms]


@pytest.mark.parametrize("role", ["sender", "receiver"])
def test_an_fp32_projection_learns_between_bf16_models(
    qwen2_folder: Path, small_world: World, role: str
) -> None:
    narrow = FrozenLM(str(qwen2_folder), dtype=torch.bfloat16)
    wide = FrozenLM(str(qwen2_folder))
    pair = (
        two_models(narrow, wide, small_world) if role == "sender" else two_models(wide, narrow, small_world)
    )
    channel, referents = make(pair).train(), some(small_world)
    answer_states = channel.relay(pair.speak(channel, referents)).receiver_input
    pair.receiver.choose(pair.read([referents] * 4), answer_states).logsumexp(-1).sum().backward()
    for parameter in channel.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_more_tokens_than_the_sender_has_positions_are_refused(pair: Pair) -> None:
    most = pair.interface.num_positions
    assert KvChannel(KvConfig(max_tokens=most), pair.interface).num_slots == most
    with pytest.raises(ValueError, match=f"max_tokens must be at most the sender's {most}, got {most + 1}"):
        KvChannel(KvConfig(max_tokens=most + 1), pair.interface)


def test_it_needs_the_models_and_its_settings_have_bounds() -> None:
    assert channel_class("kv") is KvChannel
    with pytest.raises(
        ValueError, match="this channel runs the models themselves: make it with the `interface`"
    ):
        KvChannel(KvConfig(), ENDS)
    for name, value, bounds in (("max_tokens", 0, "1 to 256"), ("hidden_width", 0, "1 to 65536")):
        with pytest.raises(ValueError, match=f"{name} must be from {bounds}, got {value}"):
            KvConfig(**{name: value})
