"""What a channel is: the only thing that lies between the sender and the receiver.

A channel turns what the sender hands over (an utterance) into a message, an element of
`message_space`, and a message into what the receiver gets (a receiver input). What the space
cannot hold cannot cross. Channels know no language model and no game.

Dimension names in every signature: B batch, T tokens of an utterance, D width of the sender's
states, k slots of a prefix, C width of a latent, E width of the receiver's embeddings, L layers,
H key-value heads of a layer, W width of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from gymnasium import Space
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from parley.channels.canonical import Message as Message
from parley.channels.receiver_input import ActivationPatch as ActivationPatch
from parley.channels.receiver_input import CacheEntries as CacheEntries
from parley.channels.receiver_input import ReceiverInput as ReceiverInput
from parley.channels.receiver_input import SoftPrompt as SoftPrompt
from parley.channels.receiver_input import TextInput as TextInput

# the recipe of a channel with nothing in the slot that could be tied to tokens: it learns from answers alone
ANSWERS_ALONE: Mapping[str, Any] = MappingProxyType(
    {"alignment_steps": 0, "reconstruction": 0.0, "quantizer": 0.0}
)

Role = Literal["judged", "untrained", "reference", "ceiling", "baseline"]
"""What a channel is played for. Judged: the gates decide on it. Untrained: what it could learn it has not
learned, so it neither passes nor fails. The others are compared with and decide nothing, whatever they score:
a reference; the ceiling, the sender's own words; the baseline, no message at all, whose success is P0."""


class NeedsModelsError(ValueError):
    """A channel that looks at the models was made without them.

    Args:
        what: it does with them, in a clause.
    """

    def __init__(self, what: str = "this channel runs the models themselves") -> None:
        super().__init__(f"{what}: make it with the `interface` of a Pair")


class Scene(NamedTuple):
    """What the receivers see and should pick: for references, which may know what no channel may."""

    candidates: Sequence[Sequence[str]]  # B lists of N descriptions, in the receivers' order
    targets: Int[Tensor, " B"]  # places, 0 to N - 1


class Utterance(NamedTuple):
    """What a sender hands to a channel: its words, and its states over its own prompt."""

    texts: Sequence[str]  # B descriptions
    states: Float[Tensor, "B T D"]
    mask: Bool[Tensor, "B T"]  # False where a shorter prompt was padded
    scene: Scene | None = None  # only for channels that say `sees_scene`


class SenderFeatures(NamedTuple):
    """Which of the sender's states a channel wants.

    `states` are hidden states at a depth; `cache` the keys (not yet rotated) and values of all layers, one
    row a token; `expected` what it would say as expected embeddings of the receiver's.
    """

    depth: float = 0.5  # 0 is the embeddings, 1 the last layer, after its norm
    of: Literal["prompt", "message"] = "prompt"  # over what it was told, or over what it said
    what: Literal["states", "cache", "expected"] = "states"


class Policy(NamedTuple):
    """How likely the sampled codes were, and how undecided the encoder is; both in nats."""

    log_probabilities: Float[Tensor, " B"]
    entropy: Float[Tensor, " B"]


class ChannelOutput(NamedTuple):
    """A differentiable send and receive: what arrives, and what an objective may look at.

    Attributes:
        receiver_input: what the receiver gets.
        losses: the channel's own, in nats.
        latents: as the decoder sees them, so worth what the message is worth; None without a codec.
        policy: where codes were drawn by chance rather than computed.
        messages: those that crossed, one an utterance; None leaves them to `send`.
    """

    receiver_input: ReceiverInput
    losses: dict[str, Float[Tensor, ""]]
    latents: Float[Tensor, "B k C"] | None = None
    policy: Policy | None = None
    messages: list[Message] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelInterface:
    """What a channel may know of the two models at its ends.

    Args:
        state_width: D, width of the sender's states.
        num_positions: most tokens an utterance's states cover.
        embedding_width: E, width of the receiver's token embeddings.
        embedding_norm: mean L2 norm of the receiver's token embeddings.
        one_vocabulary: whether both models have the same tokens.
        models: the models themselves, a `parley.agents.pair.Pair`, for the few channels that run them.
    """

    state_width: int
    num_positions: int
    embedding_width: int
    embedding_norm: float
    one_vocabulary: bool = True
    models: object | None = field(default=None, repr=False, compare=False)

    @property
    def sizes(self) -> dict[str, float]:
        """The numbers, as a checkpoint keeps them."""
        names = ("state_width", "num_positions", "embedding_width", "embedding_norm")
        return {name: getattr(self, name) for name in names}

    def __deepcopy__(self, memo: dict[int, Any]) -> ModelInterface:
        """Itself: a copied channel stands between the same models."""
        return self


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """A channel's own settings; channels that have some subclass it."""

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> ChannelConfig:
        """The settings as JSON kept them; it has lists where they have tuples."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()})


class Channel(nn.Module, ABC):
    """Base of every channel: implement `send` and `receive`; learned ones override `relay` too.

    Args:
        config: an instance of the class's `Config`.
        interface: what is known of the models at both ends.

    Attributes:
        name: set by `parley.channels.register`.
        Config: the dataclass of this channel's settings.
        trainable: whether there is something to learn.
        role: what it is played for; of a class never "untrained", which is a state.
        modality: what crosses: "text", "codes", "vectors", "states" (of a layer), "cache" or "none".
        bits_formula: a message's bits as a short formula; "" refers to `message_bits`.
        sees_scene: whether it is told what the receiver sees, which only a reference may be.
        train_defaults: settings of the trainer that suit it, by name, where the usual ones do not.
        message_space: every message is an element of this gymnasium space.
        num_slots: k, the length of the content-free prefix that stands for "no content".
        codes_per_slot: q, where a message of codes has several neighbours for each slot.
        latent_width: C, numbers a latent; 0 without latents.
        features: which of the sender's states it looks at.
        at_start: whether its prefix stands before all that the receiver reads.
        ready: whether what is trained is what crosses; False while a discrete channel is warming up.
    """

    name: ClassVar[str]
    Config: ClassVar[type[ChannelConfig]] = ChannelConfig
    trainable: ClassVar[bool] = False
    role: ClassVar[Role] = "judged"
    sees_scene: ClassVar[bool] = False
    train_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    modality: ClassVar[str] = "vectors"
    bits_formula: ClassVar[str] = ""
    message_space: Space[Any]
    num_slots: int = 4
    codes_per_slot: int = 1
    latent_width: int = 0
    features: SenderFeatures = SenderFeatures()
    at_start: bool = False

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__()
        self.config, self.interface = config, interface

    @classmethod
    def incompatibility(cls, interface: ModelInterface) -> str | None:
        """Why it cannot stand between two models, in a clause; None if it can."""
        return None

    @abstractmethod
    def send(self, utterance: Utterance) -> list[Message]:
        """B messages, each an element of `message_space`."""

    @abstractmethod
    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """What B receivers get for B messages."""

    @abstractmethod
    def message_bits(self, message: Message) -> float:
        """Bits charged for one message: never fewer than the receiver's input depends on."""

    def relay(self, utterance: Utterance) -> ChannelOutput:
        """Send and receive in one go; in eval mode exactly `receive(send(utterance))`."""
        messages = self.send(utterance)
        return ChannelOutput(self.receive(messages), {}, messages=messages)

    def forward(self, utterance: Utterance) -> ChannelOutput:
        """The same as `relay`, for wrappers that call modules."""
        return self.relay(utterance)

    @property
    def settings(self) -> dict[str, Any]:
        """Its configuration, as plain values."""
        return asdict(self.config)

    @property
    def state_width(self) -> int:
        """Width of the states that it is handed."""
        return self.interface.state_width

    def null_input(self, batch: int) -> ReceiverInput:
        """Vectors of true zeros, k for each of `batch` receivers: no content, bit for bit."""
        zeros = torch.zeros(batch, self.num_slots, self.interface.embedding_width, device=self.device)
        return SoftPrompt(zeros, self.at_start)

    def calibrate(self, utterance: Utterance, vocabulary: Float[Tensor, "V E"]) -> None:
        """Learn, once before training, what cannot be learned by gradient.

        Args:
            utterance: what the sender says of every training referent.
            vocabulary: the receiver's embeddings of the tokens it reads, the most frequent first.
        """

    def start_quantizing(self, utterance: Utterance) -> None:
        """End the continuous warm-up of a discrete channel; `utterance` is as for `calibrate`."""

    def pooled(self, utterance: Utterance) -> Float[Tensor, "B D"]:
        """One state an utterance, the last, as the channel reads it: what some objectives hold it to."""
        return last_state(utterance.states, utterance.mask)

    def logged(self) -> dict[str, float]:
        """Numbers of its own that are worth a place in the training's log."""
        return {}

    @property
    def ready(self) -> bool:
        """Whether what is trained is what crosses."""
        return True

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU if there are none."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))


def last_state(states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The state of each utterance's last token."""
    return states[torch.arange(len(states), device=states.device), last_place(mask)]


def last_place(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """The place of each utterance's last token."""
    return mask.long().cumsum(-1).argmax(-1)


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse a setting outside [low, high], and one that is infinite or NaN.

    Raises:
        ValueError: naming the setting, the bounds and the value.
    """
    if not (low <= value <= high and value < float("inf")):
        bound = f"at least {low}" if high == float("inf") else f"from {low} to {high}"
        raise ValueError(f"{name} must be {bound}, got {value}")
