"""Two frozen models around one channel: who speaks, who listens, and what a channel may know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from parley.agents.command_line import ASIDE
from parley.agents.context import Context
from parley.agents.examples import MOST_SHOTS, draw_examples
from parley.agents.language_model import POCKET, FrozenLM, ModelError
from parley.agents.lazy_words import LazyWords
from parley.agents.model_files import EMBEDDED
from parley.agents.player import Calibration, Profile, find_profile
from parley.agents.readout import READOUTS
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.agents.told_apart import check_told_apart
from parley.channels.base import Channel, ModelInterface, Scene, Utterance, check_range
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, Game, find_game
from parley.envs.world import AnyWorld, Referents


class ReceiverView(NamedTuple):
    """What B receivers see, and the places of their targets."""

    candidates: Sequence[Referents]  # (N, A) each
    targets: Sequence[int] | np.ndarray


def _readouts(default: str) -> str:
    """What `--help` says after the flag's own words, plug-ins included."""
    return f"(one of {', '.join(READOUTS.names())}; default: the profile's)"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which models play.

    Args:
        model: sender and receiver: `pocket` or `pocket_narrow` (embedded), `smollm2` (`make weights`),
            FILE.gguf, a folder, or a hub name; NAME@REVISION is a branch, tag or commit on the hub.
        sender: another model for the sender.
        receiver: another model for the receiver.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: precision of the weights in memory; auto is bfloat16 on CUDA and float32 elsewhere. A CPU with
            AMX is about three times faster in bfloat16, others are slower. A codec plays in the precision in
            which it was trained.
        device_map: places the layers of a model that is larger than one card over all there are, as
            accelerate understands the word.
        player: profile that `parley admit` wrote: how the models are asked. By default the one that is built
            in for them; the four flags that follow change what it says.
        readout: how the receiver's choice is read off its model.
        wording: how the receiver is asked, by the readout's name for it.
        calibration: of a readout that scores texts: content_free subtracts a candidate's mean score under
            messages that say nothing about it.
        shots: solved examples that both are shown first, 0 to 4.
        sender_cache: folder in which what a sender says and reads is kept, so that it does so once; None
            keeps nothing. Of an embedded model, which reads faster than a file, nothing is kept.
        threads: CPU threads; 0 leaves the choice to torch. The pocket gains a fifth from a second
            thread, and becomes several times slower where another process keeps that core busy.
    """

    # one model goes by many names: a run is held to the fingerprints
    model: str = field(default=POCKET, metadata=ASIDE)
    sender: str | None = field(default=None, metadata=ASIDE)
    receiver: str | None = field(default=None, metadata=ASIDE)
    device: str = field(default="auto", metadata=ASIDE)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = field(
        default=None, metadata=ASIDE
    )
    player: Path | None = field(default=None, metadata=ASIDE)
    readout: Annotated[str | None, tyro.conf.arg(help_behavior_hint=_readouts)] = field(
        default=None, metadata=ASIDE
    )
    wording: str | None = field(default=None, metadata=ASIDE)
    calibration: Calibration | None = field(default=None, metadata=ASIDE)
    shots: int | None = field(default=None, metadata=ASIDE)
    sender_cache: Path | None = field(default=Path("runs/sender"), metadata=ASIDE)
    threads: int = field(default=1, metadata=ASIDE)

    def __post_init__(self) -> None:
        check_range("threads", self.threads, 0, 1024)
        if self.shots is not None:
            check_range("shots", self.shots, 0, MOST_SHOTS)

    @property
    def sender_cache_folder(self) -> Path | None:
        """Where what the sender says and reads is kept; None if it is not."""
        return None if (self.sender or self.model) in EMBEDDED else self.sender_cache


class Pair:
    """A sender and a receiver that play about one world.

    Args:
        sender: who speaks.
        receiver: who listens; may use the same frozen model.
        world: what they speak about.
        profile: how they are asked, where it comes from, and the trials by which it was chosen.
    """

    def __init__(
        self, sender: Sender, receiver: Receiver, world: AnyWorld, profile: Profile | None = None
    ) -> None:
        self.sender, self.receiver, self.world = sender, receiver, world
        self.profile = profile or Profile(
            sender=sender.settings, receiver=receiver.settings, source="made in code"
        )

    @classmethod
    def load(cls, config: ModelConfig, world: AnyWorld, game: Game | None = None) -> Pair:
        """Load the models; one copy serves both roles if they are the same.

        Args:
            config: which models, and how they are asked.
            world: what they speak about.
            game: about the training split, of which examples are drawn; by default the referential one.

        Raises:
            ModelError: if a model cannot be used, the player profile is for others, or the two begin on
                different devices.
            ValueError: if the device is not there, or is named beside a device map, or two referents are the
                same to a model.
        """
        profile = find_profile(config)
        speaking, listening = load_models(config)
        check_told_apart(world, (speaking, listening))
        profile.check_models({"sender": speaking.fingerprint, "receiver": listening.fingerprint})
        examples = draw_examples(
            game or find_game(DEFAULT_GAME, world, EpisodeConfig(split="train")), profile.examples_seed
        )
        sender = Sender(speaking, world, profile.sender, examples, config.sender_cache_folder)
        return cls(sender, Receiver(listening, profile.receiver, examples), world, profile)

    @property
    def interface(self) -> ModelInterface:
        """What a channel may know of the two models."""
        return ModelInterface(
            state_width=self.sender.lm.width,
            num_positions=self.sender.num_positions,
            embedding_width=self.receiver.lm.width,
            embedding_norm=round(self.receiver.lm.embedding_norm(), 6),
            one_vocabulary=self.one_vocabulary,
            models=self,
        )

    @property
    def one_vocabulary(self) -> bool:
        """Whether both models have the same tokens."""
        speaking, listening = self.sender.lm, self.receiver.lm
        if speaking is listening:
            return True
        ours: bool = speaking.tokenizer.get_vocab() == listening.tokenizer.get_vocab()
        return ours

    @property
    def fingerprints(self) -> dict[str, str]:
        """What a codec is trained for, by role: weights, and what the sender is shown before it speaks.

        The sender's precision counts: a codec takes another precision's rounding of its states for meaning.
        """
        precision = str(self.sender.lm.dtype).removeprefix("torch.")
        suffix = "" if precision == "float32" else f"-{precision}"
        return {"sender": self.sender.fingerprint + suffix, "receiver": self.receiver.lm.fingerprint}

    @property
    def device(self) -> torch.device:
        """Where the receiver runs, and with it the channel."""
        return self.receiver.lm.device

    def vocabulary(self) -> Float[Tensor, "V E"]:
        """The receiver's embeddings of the tokens that training referents are described with.

        The most frequent come first.
        """
        described = [self.world.describe(referent) for referent in self.world.referents("train")]
        counts = Counter(token for row in self.receiver.message_tokens(described) for token in row)
        tokens = sorted(counts, key=lambda token: (-counts[token], token))
        return self.receiver.embed_ids(torch.tensor([tokens], device=self.device))[0]

    def speak(self, channel: Channel, referents: Referents, seen: ReceiverView | None = None) -> Utterance:
        """What the sender hands to a channel about B referents (B, A).

        Args:
            channel: who takes it.
            referents: the targets' value indices.
            seen: what the receivers see; only a channel that `sees_scene` is told.

        Raises:
            ValueError: if a channel needs what the receivers see and it is not at hand.
        """
        if channel.features.what == "expected":
            utterance = self._expect(referents)
        else:
            utterance = self.sender.speak(referents, channel.features)
        if not channel.sees_scene:
            return utterance
        if seen is None:
            raise ValueError(f"channel {channel.name!r} speaks about episodes, not about referents alone")
        candidates = [self.world.options(view) for view in seen.candidates]
        targets = torch.as_tensor(np.asarray(seen.targets), device=self.device)
        return utterance._replace(scene=Scene(candidates, targets))

    def _expect(self, referents: Referents) -> Utterance:
        """Expected embeddings of the receiver's, which only one vocabulary for both makes possible.

        Raises:
            ValueError: if sender and receiver have different vocabularies.
        """
        if not self.one_vocabulary:
            raise ValueError(
                f"expected embeddings need one vocabulary: those of {self.sender.lm.name!r} and "
                f"{self.receiver.lm.name!r} differ"
            )
        states, mask = self.sender.expect(referents, self.receiver.lm.embedding_table)
        words = LazyWords(len(referents), partial(self.sender.describe, referents))
        return Utterance(words, states, mask)

    def calibrate(self, channel: Channel) -> Utterance | None:
        """Let a channel learn what it must know before training; returns all that the sender says in it.

        A channel that is told what receivers see has nothing to say of referents alone: None.
        """
        if channel.sees_scene:
            return None
        train_utterances = self.speak(channel, self.world.referents("train"))
        channel.calibrate(train_utterances, self.vocabulary())
        return train_utterances

    def prepare(self, channel: Channel) -> None:
        """Bring an untrained channel to where it can be played: calibrated, and with codes if it has any."""
        train_utterances = self.calibrate(channel)
        if train_utterances is not None:
            channel.start_quantizing(train_utterances)

    def read(self, candidates: Sequence[Referents], cached: bool = True) -> Context:
        """The receiver reads B sets of candidates (N, A); `cached` is as in `Receiver.read`."""
        return self.receiver.read([self.world.options(view) for view in candidates], cached)


def load_models(config: ModelConfig) -> tuple[FrozenLM, FrozenLM]:
    """Load the sender's model and the receiver's: one copy if they are the same.

    Raises:
        ModelError: if a model cannot be used, or the two begin on different devices.
        ValueError: if the device is not there, or is named beside a device map.
    """
    if config.device_map is not None and config.device != "auto":
        raise ValueError(f"device must be auto where device_map places the model, got {config.device!r}")
    device = find_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    names = (config.sender or config.model, config.receiver or config.model)
    dtype = None if config.dtype == "auto" else getattr(torch, config.dtype)
    load = partial(FrozenLM, device=device, dtype=dtype, device_map=config.device_map)
    speaking = load(names[0])
    listening = speaking if names[0] == names[1] else load(names[1])
    if speaking.device != listening.device:
        raise ModelError(
            f"the sender's embeddings lie on {speaking.device} and the receiver's on {listening.device}, "
            f"but the channel needs both in one place; try --device-map balanced"
        )
    return speaking, listening


def find_device(name: str) -> torch.device:
    """The device of a name: `auto`, which is CUDA where there is one, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: if it is none of these, or is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices")
    return device
