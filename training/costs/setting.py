"""All that the cost of a training run depends on, read from its configuration and counted with tokenizers."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

import numpy as np

from parley.agents.examples import draw_examples
from parley.agents.player import Profile, find_profile
from parley.agents.readout import AnswerCost
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.agents.shapes import Shape, paper_model
from parley.channels.base import ChannelConfig, ModelInterface
from parley.channels.registry import channel_class
from parley.envs.game import Game
from parley.envs.worlds import find_world
from parley.training.config import TrainConfig
from parley.training.costs.codec_cost import CodecCost, codec_cost
from parley.training.costs.passes import Pass
from parley.training.episodes import Episodes

DRAWN_BATCHES = 4


class Lengths(NamedTuple):
    """Tokens; padding to the longest row of a batch counts."""

    before: int  # T, of the receiver's prompt before the slot
    tail: int  # after the slot
    words: int  # that fill the slot where the receiver is told the message
    prompt: int  # of the sender, behind its solved examples
    description: int  # of the sender's description
    vocabulary: int  # different ones in all training messages
    shown: int = 0  # of T, those of the solved examples, which are read once
    neutral: int = 0  # that fill the slot when scores are calibrated
    preamble: int = 0  # of the sender's solved examples, which are read once

    def states(self, rereads: bool) -> int:
        """Those whose states the codec gets: of what the sender says, or of its prompt."""
        return max(1, self.description) if rereads else self.prompt


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All that a run's cost depends on.

    Args:
        config: how is trained.
        sender: shape of the sender's model.
        receiver: shape of the receiver's model.
        one_model: whether both are one copy of the same weights.
        lengths: of prompts and messages, in tokens.
        rereads: whether the codec gets the sender's states over what it says, and not over its prompt.
        layers_read: of the sender, that are run for those states.
        codec: what relaying a message costs.
        referents: of the training split.
        answer: what it takes to read an answer, beside hearing the message.
        num_neutral: messages by which each context's scores are calibrated.
        profile: how the models are asked.
        number_bytes: of the models' numbers.
        tokenizers: by which the lengths were counted.
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
    answer: AnswerCost
    num_neutral: int = 0
    profile: Profile = field(default_factory=Profile)
    number_bytes: int = 2
    tokenizers: str = "its own"

    @property
    def slot(self) -> int:
        """S, tokens that are run for a message of the channel: the codec's vectors and what follows."""
        return self.codec.slots + self.lengths.tail

    @property
    def messages(self) -> int:
        """B, of a step in which the receiver plays."""
        return self.config.batch_size * self.config.messages_per_context

    def answer_runs(self, contexts: int, messages: int, slot: int, gradient: bool) -> list[Pass]:
        """Contexts are answered under some messages each, whose slot and tail take `slot` tokens."""
        new, past = messages * slot, self.lengths.before
        if self.codec.at_start:  # no cache: the whole prompt is run for every message
            contexts, messages, new, past = contexts * messages, 1, past + slot, 0
        learned = {"graph": gradient, "backward": gradient}
        runs = [Pass(rows=contexts, new=new, past=past, **learned)]
        if branches := round(messages * self.answer.branches):
            runs.append(Pass(rows=contexts, new=branches, past=past + new, to_past=True, **learned))
        return runs


def read_setting(
    channel: str, codec: ChannelConfig, config: TrainConfig, *, number_bytes: int = 2
) -> Setting:
    """The setting of a run; of the models only their configurations, and tokenizers that are here, are read.

    Args:
        channel: its name.
        codec: its settings.
        config: how is trained; its models may be names of shapes.
        number_bytes: of the models' numbers: 2 for bfloat16, 4 for float32.

    Raises:
        ValueError: if there is no such world or shape, or the channel is made of the models' weights.
        ModelError: if a model cannot be found, or would be refused by the trainer.
    """
    profile = find_profile(config.models)
    names = (config.models.sender or config.models.model, config.models.receiver or config.models.model)
    models = {name: paper_model(name) for name in names}
    sender, receiver = (models[name] for name in names)
    game = config.find_game(find_world(config.world), "train")
    examples = draw_examples(game, profile.examples_seed)
    speaking = Sender(sender.lm, game.world, profile.sender, examples)
    listening = Receiver(receiver.lm, profile.receiver, examples)
    interface = ModelInterface(
        state_width=sender.shape.width,
        num_positions=speaking.num_positions,
        embedding_width=receiver.shape.width,
        embedding_norm=1.0,
        one_vocabulary=len(models) == 1,
    )
    lengths = count_lengths(speaking, listening, game, config)
    options = [option for batch in drawn_options(game, config) for option in batch]
    features = getattr(codec, "features", channel_class(channel).features)
    rereads = features.of == "message"
    cost = codec_cost(
        channel,
        codec,
        interface,
        lengths.states(rereads),
        config.objectives,
        game.world,
        lengths.vocabulary,
    )
    foreign = [name for name, model in models.items() if not model.own_tokenizer]
    return Setting(
        config=config,
        sender=sender.shape,
        receiver=receiver.shape,
        one_model=len(models) == 1,
        lengths=lengths,
        rereads=rereads,
        layers_read=int((features.depth if features.what == "states" else 1) * sender.shape.num_layers),
        codec=cost,
        referents=len(game.world.referents("train")),
        answer=listening.readout.answer_cost(options, config.objectives.among, receiver.shape.vocab_size),
        num_neutral=0 if profile.receiver.calibration == "none" else len(examples.neutral),
        profile=profile,
        number_bytes=number_bytes,
        tokenizers=f"the pocket's, for {' and '.join(foreign)}" if foreign else "its own",
    )


def drawn_options(game: Game, config: TrainConfig) -> list[list[list[str]]]:
    """What receivers choose among in the first batches of a run, batch by batch.

    Raises:
        ValueError: if the split has fewer referents than an episode has candidates.
    """
    rng = np.random.default_rng(config.seed)
    episodes = Episodes(game, config.messages_per_context, config.fixed_episodes, config.seed)
    drawn = (episodes.draw(config.batch_size, step, rng) for step in range(DRAWN_BATCHES))
    return [
        [game.world.options(episode.receiver_view) for episode in batch[:: config.messages_per_context]]
        for batch in drawn
    ]


def count_lengths(sender: Sender, receiver: Receiver, game: Game, config: TrainConfig) -> Lengths:
    """Count on the first batches of a run; what the sender will say is taken to be the exact description.

    Args:
        sender: of which no state is asked.
        receiver: likewise.
        game: about the training split.
        config: how episodes are drawn.

    Raises:
        ValueError: if the split has fewer referents than an episode has candidates.
    """
    referents, shown = game.world.referents("train"), len(receiver.shown)
    widths = [
        max(len(receiver.before(options)) for options in batch) for batch in drawn_options(game, config)
    ]
    described = [game.world.describe(referent) for referent in referents]
    rows = receiver.message_tokens(described)
    return Lengths(
        before=shown + round(fmean(widths)),
        tail=len(receiver.tail),
        words=max(map(len, rows)),
        prompt=max(map(len, sender.prompts(list(referents)))),
        description=max(len(sender.lm.encode_plain(text)) for text in described),
        vocabulary=len({token for row in rows for token in row}),
        shown=shown,
        neutral=max(map(len, receiver.message_tokens(receiver.readout.neutral)), default=0),
        preamble=len(sender.shown),
    )
