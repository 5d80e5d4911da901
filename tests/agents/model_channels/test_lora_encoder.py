"""`lora_encoder`: adapters over the sender's own weights, which nobody else ever meets."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import Linear
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.agents.model_channels.lora_encoder import LoraEncoder, LoraEncoderChannel, LoraEncoderConfig
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures, Utterance
from parley.channels.checkpoint import load_channel, save_channel
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, check_channel
from parley.envs.world import World


@pytest.fixture(autouse=True)
def said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender need not look for its words."""
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: ["tiny red cube"] * len(rows))


def make(pair: Pair, seed: int = 0, **settings: Any) -> LoraEncoderChannel:
    torch.manual_seed(seed)
    return LoraEncoderChannel(LoraEncoderConfig(codec_width=32, **settings), pair.interface).eval()


def encoder_of(channel: LoraEncoderChannel) -> LoraEncoder:
    assert isinstance(channel.encoder, LoraEncoder)
    return channel.encoder


def spoken(pair: Pair, channel: LoraEncoderChannel) -> Utterance:
    return pair.speak(channel, pair.world.referents("train")[:4])


def train(pair: Pair, channel: LoraEncoderChannel, steps: int = 2) -> None:
    optimizer = torch.optim.AdamW(channel.train().parameters(), lr=1e-2)
    referents = pair.world.referents("train")[:12].reshape(4, 3, -1)
    context = pair.read(list(referents))
    for _ in range(steps):
        relay = channel.relay(pair.speak(channel, referents[:, 0]))
        loss = torch.nn.functional.cross_entropy(
            pair.receiver.choose(context, relay.receiver_input), torch.zeros(4, dtype=torch.long)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    channel.eval()


@pytest.fixture
def channel(pair: Pair) -> LoraEncoderChannel:
    return make(pair)


@torch.no_grad()
def said_by(pair: Pair) -> list[Tensor]:
    """What the sender's model makes of some prompts, computed anew."""
    sender, referents = Sender(pair.sender.lm, pair.world), pair.world.referents("train")[:3]
    readings = [
        SenderFeatures(1.0),
        SenderFeatures(0.5, "message"),
        SenderFeatures(of="message", what="cache"),
    ]
    return [sender.read(referents, features)[0] for features in readings]


def test_training_moves_the_adapters_and_leaves_the_sender_bit_identical(
    pair: Pair, channel: LoraEncoderChannel
) -> None:
    model = pair.sender.lm.model
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before, own = said_by(pair), {name: p.detach().clone() for name, p in channel.named_parameters()}
    train(pair, channel)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert model.state_dict().keys() == weights.keys()
    assert all(weight.grad is None and not weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(one, other) for one, other in zip(said_by(pair), before, strict=True))
    assert {name for name, p in channel.named_parameters() if torch.equal(p, own[name])} == set()
    assert not any(isinstance(module, Linear) for module in model.modules()), "no adapter is in the sender"


def frozen_of(channel: LoraEncoderChannel) -> dict[str, Tensor]:
    model = encoder_of(channel)._borrowed.model
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor for name, tensor in named.items() if "lora_" not in name}


def test_no_weight_is_stored_twice(pair: Pair, channel: LoraEncoderChannel) -> None:
    model = pair.sender.lm.model.model
    ours = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for borrower in (channel, deepcopy(channel)):
        found = {name.replace(".base_layer", ""): tensor for name, tensor in frozen_of(borrower).items()}
        assert found.keys() == ours.keys()
        for name, tensor in found.items():
            assert tensor.data_ptr() == ours[name].data_ptr(), name


def test_a_copied_channel_has_adapters_of_its_own(pair: Pair, channel: LoraEncoderChannel) -> None:
    copied, utterance = deepcopy(channel), spoken(pair, channel)
    before = channel.relay(utterance).receiver_input.vectors
    assert torch.equal(copied.relay(utterance).receiver_input.vectors, before)
    train(pair, copied)
    assert torch.equal(channel.relay(utterance).receiver_input.vectors, before)
    assert not torch.equal(copied.relay(utterance).receiver_input.vectors, before)


def test_a_trained_channel_keeps_the_contract(pair: Pair, channel: LoraEncoderChannel) -> None:
    train(pair, channel)
    check_channel(channel)


def test_adapters_slots_projection_and_decoder_are_all_there_is(
    pair: Pair, channel: LoraEncoderChannel
) -> None:
    """Beside the statistics that every codec has, which stay at 0 and 1."""
    own = channel.state_dict()
    parts = {name.split(".")[0] + "." + name.split(".")[1] for name in own}
    assert {part for part in parts if part.startswith("encoder")} == {
        "encoder.adapters", "encoder.slots", "encoder.project", "encoder.standardize"
    }  # fmt: skip
    assert all(part.startswith(("encoder.", "decoder.")) for part in parts)
    adapters = [name for name in own if name.startswith("encoder.adapters.")]
    assert len(adapters) == 3 * 2 * 2, "of three layers' queries and values, two halves each"
    assert all("lora_" in name and "base_layer" not in name for name in adapters)
    assert {tuple(own[name].shape) for name in adapters} == {(8, 32), (32, 8)}
    assert not own["encoder.standardize.mean"].any()
    assert (own["encoder.standardize.scale"] == 1).all()


def test_a_checkpoint_is_exact_and_meets_no_other_channel(
    pair: Pair, channel: LoraEncoderChannel, tmp_path: Path
) -> None:
    train(pair, channel)
    path, utterance = tmp_path / "channel.safetensors", spoken(pair, channel)
    save_channel(path, channel, pair.fingerprints, {})
    wanted = channel.relay(utterance).receiver_input.vectors
    other = make(pair, seed=1)
    others = other.relay(utterance).receiver_input.vectors
    loaded = load_channel(path, pair.interface, pair.fingerprints)
    assert isinstance(loaded, LoraEncoderChannel)
    assert loaded.config == channel.config
    assert torch.equal(loaded.relay(utterance).receiver_input.vectors, wanted)
    assert torch.equal(loaded.receive(loaded.send(utterance)).vectors, wanted)
    assert not torch.equal(others, wanted)
    assert torch.equal(other.relay(utterance).receiver_input.vectors, others)
    assert torch.equal(channel.relay(utterance).receiver_input.vectors, wanted)


@torch.no_grad()
def test_latents_are_what_the_model_makes_of_the_slots_behind_the_prompt(
    any_lm: FrozenLM, small_world: World
) -> None:
    """With adapters of zeros the model is the sender; each prompt alone, without padding."""
    pair = Pair(Sender(any_lm, small_world), Receiver(any_lm), small_world)
    channel = make(pair, k=3)
    assert channel.features == SenderFeatures(0.0, "prompt")
    encoder, utterance = encoder_of(channel), spoken(pair, channel)
    assert len(utterance.mask.sum(1).unique()) > 1
    adapted = encoder(utterance.states, utterance.mask)
    for name, weight in encoder.adapters.items():
        if "lora_B" in name:
            weight.zero_()
    latents = encoder(utterance.states, utterance.mask)
    for row, mask in enumerate(utterance.mask):
        prompt = utterance.states[row, mask]
        hidden = any_lm.model.model(inputs_embeds=torch.cat([prompt, encoder.slots])[None]).last_hidden_state
        wanted = encoder.project(hidden[0, -3:])
        torch.testing.assert_close(latents[row], wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(adapted, latents, atol=1e-4), "adapters matter"


def test_adapters_learn_in_full_precision_beside_a_bf16_sender(
    qwen2_folder: Path, small_world: World
) -> None:
    lm = FrozenLM(str(qwen2_folder), dtype=torch.bfloat16)
    pair = Pair(Sender(lm, small_world), Receiver(lm), small_world)
    channel = make(pair).train()
    relay = channel.relay(spoken(pair, channel))
    context = pair.read([pair.world.referents("train")[:4]] * 4)
    pair.receiver.choose(context, relay.receiver_input).logsumexp(-1).sum().backward()
    for name, parameter in channel.named_parameters():
        assert parameter.dtype == torch.float32, name
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("settings", "got"),
    [
        ({"depth": 0.5}, "0.5, prompt and False"),
        ({"reads": "message"}, "0.0, message and False"),
        ({"standardize": True}, "0.0, prompt and True"),
    ],
)
def test_it_reads_the_embeddings_of_the_prompt_as_they_are(settings: dict[str, Any], got: str) -> None:
    wanted = "lora_encoder runs the sender itself, on its prompt's embeddings: depth must be 0, reads prompt"
    with pytest.raises(ValueError, match=f"{wanted} and standardize False, got {got}"):
        LoraEncoderConfig(**settings)


def test_it_needs_the_models_and_its_settings_have_bounds() -> None:
    assert channel_class("lora_encoder") is LoraEncoderChannel
    with pytest.raises(
        ValueError, match="this channel runs the models themselves: make it with the `interface`"
    ):
        LoraEncoderChannel(LoraEncoderConfig(), ENDS)
    for name, bounds in (("rank", "1 to 1024"), ("alpha", "1 to 65536")):
        with pytest.raises(ValueError, match=f"{name} must be from {bounds}, got 0"):
            LoraEncoderConfig(**{name: 0})
    with pytest.raises(ValueError, match="k must be from 1 to 256, got 0"):
        LoraEncoderConfig(k=0)
