"""What every channel owes: one function a promise, named after it, in the order in which they are checked."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict

import torch
from safetensors.torch import load, save

from parley.channels.base import SoftPrompt, TextInput
from parley.channels.canonical import encode, log2_size
from parley.channels.conditions.random import random_message
from parley.channels.contract import PROMISES as PROMISES
from parley.channels.contract import BrokenError, Subject, alike, demand, promise, same
from parley.channels.prices import NUM_PROBES, PriceList, underpriced
from parley.channels.receiver_input import num_inputs, tensors_of
from parley.channels.wire_format import check_receiver_input

NUM_SAMPLES, NUM_ROWS = 128, 32


@promise
def sees_no_scene(subject: Subject) -> None:
    """Only a reference is told what the receiver sees."""
    channel = subject.channel
    demand(
        channel.role == "reference" or not channel.sees_scene,
        f"sees_scene is true and role is {channel.role}; only a reference may know what the receiver sees",
    )


@promise
def one_message_each(subject: Subject) -> None:
    """One message an utterance."""
    made, wanted = len(subject.sent), len(subject.utterance.texts)
    demand(made == wanted, f"send made {made} messages of {wanted} utterances; make one each")


@promise
def messages_in_space(subject: Subject) -> None:
    """Every message is in the message space, and has canonical bytes."""
    space = subject.channel.message_space
    for message in subject.sent:
        demand(
            space.contains(message),
            f"send made {message!r}, which message_space {space} does not contain; what the space cannot "
            "hold cannot cross, so fit the message or widen the space",
        )
        encode(subject.space, message)


@promise
def inputs_untouched(subject: Subject) -> None:
    """Whoever is handed something leaves it as it is: others get it as well."""
    channel, messages = subject.channel, subject.messages
    arrived = subject.encoded(messages)
    channel.receive(messages)
    demand(subject.encoded(messages) == arrived, "receive changed a message in place; work on a copy")
    deepcopy(channel).train().relay(subject.utterance)  # which may learn from it
    demand(
        subject.untouched,
        "send or relay changed an utterance in place; work on a copy, since others read the same states",
    )


@promise
def eval_is_deterministic(subject: Subject) -> None:
    """In eval mode the same utterance makes the same message, and that the same receiver input."""
    channel, advice = subject.channel, "in eval mode; switch noise and dropout off"
    again = subject.encoded(channel.send(subject.utterance))
    demand(again == subject.encoded(subject.sent), f"send makes two messages of one utterance {advice}")
    stable = same(subject.received, channel.receive(subject.messages))
    demand(stable, f"receive makes two receiver inputs of one message {advice}")


@promise
def one_receiver_input_each(subject: Subject) -> None:
    """One receiver input a message, of a shape that a receiver can read."""
    got, wanted = num_inputs(subject.received), len(subject.sent)
    demand(got == wanted, f"receive made {got} receiver inputs of {wanted} messages; make one each")


@promise
def finite(subject: Subject) -> None:
    """Receiver inputs are finite, and of the dtypes and shapes of their kind."""
    for receiver_input in (subject.received, subject.channel.receive(subject.random(NUM_SAMPLES))):
        try:
            check_receiver_input(receiver_input)
        except ValueError as error:
            raise BrokenError(f"receive made what no receiver can read: {error}") from error


@promise
def bits_are_honest(subject: Subject) -> None:
    """No price is below what the message tells the receiver: Kraft's inequality, and what the space needs."""
    channel, prices, space_bits = subject.channel, PriceList(), log2_size(subject.space)
    messages = [*subject.messages, *subject.random(NUM_SAMPLES), *subject.messages]
    charged = [channel.message_bits(message) for message in messages]
    for message, bits in zip(messages, charged, strict=True):
        breach = prices.add(encode(subject.space, message), bits)
        demand(breach is None, str(breach))
    drawn = (random_message(subject.space, subject.rng) for _ in range(NUM_PROBES))
    lesson = underpriced(space_bits, map(channel.message_bits, drawn))
    demand(lesson is None, str(lesson))


@promise
def rows_are_independent(subject: Subject) -> None:
    """A receiver gets its own message alone."""
    messages = [*subject.messages, *subject.random(NUM_ROWS)]
    alone = [subject.channel.receive([message]) for message in messages]
    demand(
        alike(alone, subject.channel.receive(messages)),
        "receive mixes messages of a batch; each receiver must get its own message and nothing else",
    )


@promise
def relay_equals_wire(subject: Subject) -> None:
    """In eval mode the differentiable path delivers what the wire delivers."""
    output = subject.channel.relay(subject.utterance)
    demand(
        output.messages is None or subject.encoded(output.messages) == subject.encoded(subject.sent),
        "in eval mode relay's messages differ from those of send; they are what crosses in training",
    )
    demand(
        same(output.receiver_input, subject.received),
        "in eval mode relay differs from receive after send; training must have no private path, so let "
        "relay quantise, clip and cut as send does",
    )


@promise
def null_is_zero(subject: Subject) -> None:
    """Null is true zeros of the shape that a message would have, bit for bit."""
    channel = subject.channel
    null = channel.null_input(3)
    demand(
        not isinstance(null, TextInput),
        "null_input is text; return zeros, as vectors, a state or cache entries",
    )
    assert not isinstance(null, TextInput), "refused above"
    if isinstance(null, SoftPrompt):
        shape, wanted = tuple(null.vectors.shape), (3, channel.num_slots, channel.interface.embedding_width)
        demand(shape == wanted, f"null_input has shape {shape}; it must have {wanted}")
    receivers = num_inputs(null)
    demand(receivers == 3, f"null_input is for {receivers} receivers; it must be for the 3 asked for")
    zero = not any(part.any() for part in tensors_of(null) if part.dtype != torch.bool)
    demand(zero, "null_input is not zero; return zeros, never what a decoder makes of them")


@promise
def sending_changes_nothing(subject: Subject) -> None:
    """Sending and receiving leave the channel as it is, in training mode too."""
    channel = subject.channel
    before = {name: tensor.clone() for name, tensor in channel.state_dict().items()}
    channel.train()
    modes = [module.training for module in channel.modules()]
    channel.receive(channel.send(subject.utterance))
    changed = [name for name, tensor in channel.state_dict().items() if not torch.equal(tensor, before[name])]
    demand(
        not changed,
        f"send or receive changed {', '.join(changed)} in training mode; only relay may, or the "
        "messages of a control would update the codec",
    )
    kept = modes == [module.training for module in channel.modules()]
    demand(kept, "send or receive left another training mode behind; put back the mode of every module")


@promise
def gradient_reaches_parameters(subject: Subject) -> None:
    """In training mode gradient reaches every parameter; what has none is not trainable."""
    channel = subject.channel
    parameters = dict(channel.named_parameters())
    demand(
        channel.trainable == bool(parameters),
        f"trainable is {channel.trainable}, but there are {len(parameters)} parameters; make them agree",
    )
    if not parameters:
        return
    output = channel.train().relay(subject.utterance)
    received, advice = output.receiver_input, "relay a SoftPrompt"
    text = isinstance(received, TextInput)
    demand(not text, f"a trainable channel relays text, which has no gradient; {advice}")
    assert not isinstance(received, TextInput), "refused above"
    parts = [part for part in tensors_of(received) if part.is_floating_point()]
    score = torch.stack([*((part * torch.randn_like(part)).sum() for part in parts), *output.losses.values()])
    demand(score.requires_grad, "relay has no gradient in training mode; neither detach nor use no_grad")
    gradients = torch.autograd.grad(score.sum(), list(parameters.values()), allow_unused=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        reached = gradient is not None and bool(gradient.isfinite().all() & gradient.any())
        demand(reached, f"no finite gradient reaches {name}; let relay use it, or make it a buffer")


@promise
def saving_is_exact(subject: Subject) -> None:
    """What is saved and loaded again is the same channel, to the last bit."""
    channel = subject.channel
    kind, config = type(channel), json.loads(json.dumps(asdict(channel.config)))
    loaded = kind(kind.Config.from_json(config), channel.interface).to(channel.device).eval()
    # a copy each: safetensors refuses tensors that share memory
    weights = {name: tensor.contiguous().clone() for name, tensor in channel.state_dict().items()}
    loaded.load_state_dict(load(save(weights)))
    # what it has sent so far is no measure: the check of gradients may have taught it
    sent, messages = channel.send(subject.utterance), subject.messages
    demand(
        subject.encoded(loaded.send(subject.utterance)) == subject.encoded(sent)
        and same(loaded.receive(messages), channel.receive(messages)),
        "it behaves otherwise once saved and loaded; keep all it knows in parameters, buffers and Config",
    )
