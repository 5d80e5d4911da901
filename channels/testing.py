"""`check_channel`: what every channel owes, on synthetic utterances, for those who write one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from safetensors.torch import load, save

from parley.channels.base import (
    ActivationPatch,
    CacheEntries,
    Channel,
    Message,
    ModelInterface,
    ReceiverInput,
    Scene,
    SoftPrompt,
    TextInput,
    Utterance,
)
from parley.channels.receiver_input import num_positions, tensors_of
from parley.channels.registry import channel_class

ENDS = ModelInterface(state_width=24, num_positions=12, embedding_width=20, embedding_norm=1.5)
ROUNDING = 1e-6  # bits
NUM_UTTERANCES, NUM_SAMPLES, NUM_CANDIDATES = 32, 128, 5
WORDS = ("red", "green", "tiny", "huge", "metal", "cube", "ball", "<|im_end|>")


class ContractError(AssertionError):
    """A promise that a channel breaks; the message says which, and what to do."""


def check_channel(
    channel: str | type[Channel] | Channel, seed: int = 0, interface: ModelInterface = ENDS
) -> None:
    """Check all that a channel promises, on a copy of it.

    Messages lie in the space, eval mode is deterministic, bits are honest, `relay` is `receive`
    after `send`, null is free of content, sending changes nothing in the channel, gradient
    reaches every parameter, and saving and loading is exact.

    Args:
        channel: what to check; a name or class is made with its default settings.
        seed: of initial weights and utterances; torch's own generator stays as it is.
        interface: between which a name or class is made; a channel that runs the models needs a pair's own.

    Raises:
        ContractError: at the first promise that is broken.
        ValueError: if the name is unknown, or the channel needs the models and `interface` has none.
    """
    kind = channel_class(channel) if isinstance(channel, str) else channel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = kind(kind.Config(), interface) if isinstance(kind, type) else deepcopy(kind)
        made.message_space.seed(seed)
        utterance = synthetic_utterance(made.interface, width=made.state_width)
        checks = (check_messages, check_eval_mode, check_bits, check_relay, check_null)
        for check in (*checks, check_sending_changes_nothing, check_gradients, check_saving):
            check(made.eval(), utterance)


def synthetic_utterance(
    interface: ModelInterface, batch: int = NUM_UTTERANCES, width: int | None = None
) -> Utterance:
    """Utterances of differing words, states, lengths and scenes, from torch's generator.

    Args:
        interface: how many positions there are.
        batch: B.
        width: of the states, by default the sender's own.
    """
    positions = interface.num_positions
    texts = _texts(batch)
    mask = torch.arange(positions) < torch.randint(1, positions + 1, (batch, 1))
    states = torch.randn(batch, positions, width or interface.state_width) * mask[..., None]
    scene = Scene([_texts(NUM_CANDIDATES) for _ in texts], torch.randint(NUM_CANDIDATES, (batch,)))
    return Utterance(texts, states, mask, scene)


def _texts(number: int) -> list[str]:
    picks = torch.randint(len(WORDS), (number, 4)).tolist()
    return [" ".join(WORDS[pick] for pick in row) for row in picks]


def check_messages(channel: Channel, utterance: Utterance) -> None:
    """One message an utterance, each in the message space."""
    messages, wanted = channel.send(utterance), len(utterance.texts)
    _demand(
        len(messages) == wanted, f"send made {len(messages)} messages of {wanted} utterances; make one each"
    )
    for message in messages:
        _demand(
            channel.message_space.contains(message),
            f"send made {message!r}, which message_space {channel.message_space} does not contain; what "
            "the space cannot hold cannot cross, so fit the message or widen the space",
        )


def check_bits(channel: Channel, utterance: Utterance) -> None:
    """A receiver gets its own message alone, and no more of it than the bits charged can tell."""
    samples = [channel.message_space.sample() for _ in range(NUM_SAMPLES)]
    messages = [*channel.send(utterance), *samples]
    alone = [channel.receive([message]) for message in messages]
    cheapest: dict[bytes, float] = {}
    for message, received in zip(messages, alone, strict=True):
        bits = channel.message_bits(message)
        _demand(0 <= bits < float("inf"), f"message_bits is {bits}; bits are finite and not negative")
        key = _content(received)
        cheapest[key] = min(bits, cheapest.get(key, bits))
        _demand(
            not isinstance(received, TextInput) or min(8 * len(key), _space_bits(channel)) <= bits + ROUNDING,
            f"a receiver got {len(key)} bytes of text for {bits:g} bits; charge 8 bits a byte at least",
        )
    # Kraft's inequality: no code tells these receiver inputs apart at a lower price
    _demand(
        sum(2.0**-bits for bits in cheapest.values()) <= 1,
        f"receivers got {len(cheapest)} different things, some for {min(cheapest.values()):g} bits; no code "
        "is that short, so charge for all that receive depends on",
    )
    apart = _alike(alone, channel.receive(messages))
    _demand(
        apart, "receive mixes messages of a batch; each receiver must get its own message and nothing else"
    )


def check_relay(channel: Channel, utterance: Utterance) -> None:
    """In eval mode the differentiable path delivers what the wire delivers."""
    output, messages = channel.relay(utterance), channel.send(utterance)
    _demand(
        output.messages is None or _equal(output.messages, messages),
        "in eval mode relay's messages differ from those of send; they are what crosses in training",
    )
    _demand(
        _same(output.receiver_input, channel.receive(messages)),
        "in eval mode relay differs from receive after send; training must have no private path, so let "
        "relay quantise, clip and cut as send does",
    )


def check_eval_mode(channel: Channel, utterance: Utterance) -> None:
    """Eval mode is deterministic."""
    messages, advice = channel.send(utterance), "in eval mode; switch noise and dropout off"
    _demand(_equal(messages, channel.send(utterance)), f"send makes two messages of one utterance {advice}")
    stable = _same(channel.receive(messages), channel.receive(messages))
    _demand(stable, f"receive makes two receiver inputs of one message {advice}")


def check_null(channel: Channel, utterance: Utterance) -> None:
    """Null is true zeros of the shape that a message would have, bit for bit."""
    null = channel.null_input(3)
    if isinstance(null, TextInput):
        raise ContractError("null_input is text; return zeros, as vectors, a state or cache entries")
    if isinstance(null, SoftPrompt):
        shape, wanted = tuple(null.vectors.shape), (3, channel.num_slots, channel.interface.embedding_width)
        _demand(shape == wanted, f"null_input has shape {shape}; it must have {wanted}")
    receivers = len(num_positions(null))
    _demand(receivers == 3, f"null_input is for {receivers} receivers; it must be for the 3 asked for")
    zero = not any(part.any() for part in tensors_of(null) if part.dtype != torch.bool)
    _demand(zero, "null_input is not zero; return zeros, never what a decoder makes of them")


def check_sending_changes_nothing(channel: Channel, utterance: Utterance) -> None:
    """Sending and receiving leave the channel as it is, in training mode too."""
    before = {name: tensor.clone() for name, tensor in channel.state_dict().items()}
    channel.train()
    modes = [module.training for module in channel.modules()]
    channel.receive(channel.send(utterance))
    changed = [name for name, tensor in channel.state_dict().items() if not torch.equal(tensor, before[name])]
    _demand(
        not changed,
        f"send or receive changed {', '.join(changed)} in training mode; only relay may, or the "
        "messages of a control would update the codec",
    )
    kept = modes == [module.training for module in channel.modules()]
    _demand(kept, "send or receive left another training mode behind; put back the mode of every module")


def check_gradients(channel: Channel, utterance: Utterance) -> None:
    """In training mode gradient reaches every parameter; what has none is not trainable."""
    parameters = dict(channel.named_parameters())
    _demand(
        channel.trainable == bool(parameters),
        f"trainable is {channel.trainable}, but there are {len(parameters)} parameters; make them agree",
    )
    if not parameters:
        return
    relay = channel.train().relay(utterance)
    receiver_input, losses = relay.receiver_input, relay.losses
    if isinstance(receiver_input, TextInput):
        raise ContractError("a trainable channel relays text, which has no gradient; relay a SoftPrompt")
    parts = [part for part in tensors_of(receiver_input) if part.is_floating_point()]
    score = torch.stack([*((part * torch.randn_like(part)).sum() for part in parts), *losses.values()])
    _demand(score.requires_grad, "relay has no gradient in training mode; neither detach nor use no_grad")
    gradients = torch.autograd.grad(score.sum(), list(parameters.values()), allow_unused=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        reached = gradient is not None and bool(gradient.isfinite().all() & gradient.any())
        _demand(reached, f"no finite gradient reaches {name}; let relay use it, or make it a buffer")


def check_saving(channel: Channel, utterance: Utterance) -> None:
    """What is saved and loaded again is the same channel, to the last bit."""
    kind, config = type(channel), json.loads(json.dumps(asdict(channel.config)))
    loaded = kind(kind.Config.from_json(config), channel.interface)
    loaded.load_state_dict(load(save({n: t.contiguous() for n, t in channel.state_dict().items()})))
    messages = channel.send(utterance)
    _demand(
        _equal(loaded.eval().send(utterance), messages)
        and _same(loaded.receive(messages), channel.receive(messages)),
        "it behaves otherwise once saved and loaded; keep all it knows in parameters, buffers and Config",
    )


def _demand(kept: bool, lesson: str) -> None:
    if not kept:
        raise ContractError(lesson)


def _equal(first: Sequence[Message], second: Sequence[Message]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def _content(receiver_input: ReceiverInput) -> bytes:
    if isinstance(receiver_input, TextInput):
        return "".join(receiver_input.texts).encode()
    parts = b"".join(part.detach().cpu().float().numpy().tobytes() for part in tensors_of(receiver_input))
    return parts + _placing(receiver_input)


def _placing(receiver_input: SoftPrompt | ActivationPatch | CacheEntries) -> bytes:
    """Where and how it is put: a message that decided this would tell the receiver so much more."""
    if isinstance(receiver_input, ActivationPatch):
        return f"{receiver_input.depth} {receiver_input.mode}".encode()
    return b"at the start" if isinstance(receiver_input, SoftPrompt) and receiver_input.at_start else b""


def _same(first: ReceiverInput, second: ReceiverInput) -> bool:
    return type(first) is type(second) and _content(first) == _content(second)


def _alike(alone: Sequence[ReceiverInput], together: ReceiverInput) -> bool:
    """Whether receiver inputs agree but for the rounding of differently shaped products."""
    if isinstance(together, TextInput):
        return [text for receiver_input in alone for text in receiver_input[0]] == list(together.texts)
    vectors = [receiver_input for receiver_input in alone if not isinstance(receiver_input, TextInput)]
    rows = [tensors_of(receiver_input) for receiver_input in vectors]
    return {_placing(receiver_input) for receiver_input in vectors} == {_placing(together)} and all(
        torch.allclose(torch.cat(parts).float(), whole.float(), rtol=1e-4, atol=1e-5)
        for parts, whole in zip(zip(*rows, strict=True), tensors_of(together), strict=True)
    )


def _space_bits(channel: Channel) -> float:
    """What it takes to name one message of the space; infinite where they are not so many of one length."""
    space = channel.message_space
    if isinstance(space, MultiDiscrete):
        return float(np.log2(space.nvec.astype(float)).sum())
    return float(np.log2(int(space.n))) if isinstance(space, Discrete) else float("inf")
