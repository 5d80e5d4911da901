"""All that the cost of a training run depends on, read from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from parley.agents.sender import Sender
from parley.agents.shapes import Shape, paper_model
from parley.channels.base import ChannelConfig, ModelInterface
from parley.channels.registry import channel_class
from parley.envs.worlds import find_world
from parley.training.config import TrainConfig
from parley.training.costs.codec_cost import CodecCost, codec_cost
from parley.training.costs.prompt_lengths import Lengths, count_lengths


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All that a run's cost depends on.

    Args:
        config: how is trained.
        sender: shape of the model that speaks.
        receiver: shape of the model that listens.
        one_model: whether both are one copy of the same weights.
        lengths: of prompts and messages, in tokens.
        rereads: whether the codec gets the sender's states over what it says, and not over its prompt.
        layers_read: of the sender, that are run for those states.
        codec: what relaying a message costs.
        referents: of the training split.
        values: of all the world's attributes together.
        packed: as for `passes.hearing`.
        number_bytes: of the models' numbers.
    """

    config: TrainConfig
    sender: Shape
    receiver: Shape
    one_model: bool
    lengths: Lengths
    rereads: bool
    layers_read: int
    codec: CodecCost
    referents: int
    values: int
    packed: bool = True
    number_bytes: int = 2

    @property
    def slot(self) -> int:
        """S, tokens that are run for a message of the channel: the codec's vectors and what follows."""
        return self.codec.slots + self.lengths.tail

    @property
    def states(self) -> int:
        """Tokens of the sender whose states the codec gets."""
        return max(1, self.lengths.said) if self.rereads else self.lengths.prompt


class Counted(NamedTuple):
    """A setting, and by whose tokenizer its lengths were counted."""

    setting: Setting
    tokenizers: str


def read_setting(
    channel: str, codec: ChannelConfig, config: TrainConfig, *, packed: bool = True, number_bytes: int = 2
) -> Counted:
    """The setting of a run; of the models only their configurations, and tokenizers that are here, are read.

    Args:
        channel: its name.
        codec: its settings.
        config: how is trained; its models may be names of shapes.
        packed: as for `passes.hearing`.
        number_bytes: of the models' numbers: 2 for bfloat16, 4 for float32.

    Raises:
        ValueError: if there is no such world or shape, or the channel is made of the models' weights.
        ModelError: if a model cannot be found, or would be refused by the trainer.
    """
    names = (config.models.sender or config.models.model, config.models.receiver or config.models.model)
    speaking = paper_model(names[0])
    listening = speaking if names[0] == names[1] else paper_model(names[1])
    world = find_world(config.world)
    interface = ModelInterface(
        state_width=speaking.shape.width,
        num_positions=Sender(speaking.lm, world).num_positions,
        embedding_width=listening.shape.width,
        embedding_norm=1.0,
        one_vocabulary=names[0] == names[1],
    )
    lengths = count_lengths(speaking.lm, listening.lm, world, config)
    features = getattr(codec, "reading", channel_class(channel).features)
    rereads = features.of == "message"
    cost = codec_cost(channel, codec, interface, max(1, lengths.said) if rereads else lengths.prompt)
    setting = Setting(
        config=config,
        sender=speaking.shape,
        receiver=listening.shape,
        one_model=names[0] == names[1],
        lengths=lengths,
        rereads=rereads,
        layers_read=int((features.depth if features.what == "states" else 1) * speaking.shape.num_layers),
        codec=cost,
        referents=len(world.referents("train")),
        values=int(world.num_values.sum()),
        packed=packed,
        number_bytes=number_bytes,
    )
    foreign = [
        name for name, model in zip(names, (speaking, listening), strict=True) if not model.own_tokenizer
    ]
    return Counted(
        setting, f"the pocket's, for {' and '.join(dict.fromkeys(foreign))}" if foreign else "its own"
    )
