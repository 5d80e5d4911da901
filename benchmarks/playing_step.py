"""A step in which the receiver plays, of any size: how long it takes, and what it keeps to go backwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from parley.agents.language_model import FrozenLM
from parley.agents.model_files import decode_greedily
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.envs.world import Referents, World, objects_world
from parley.training.config import TrainConfig
from parley.training.trainer import Trainer
from studies.pocket_model import PocketConfig, build_model

FEW_VALUES = 4  # of each attribute: 256 referents, whom the sender has soon read


@dataclass(frozen=True, kw_only=True)
class StepSize:
    """What decides the cost of a step.

    Args:
        batch: contexts.
        candidates: N.
        k: slots of the message.
        messages: M, candidates of a context that take their turn as the target.
        words: each value of the world says its name this often, which makes contexts longer.
        width: of the models; that of their MLP is four times as much.
        layers: of the models.
    """

    batch: int = 16
    candidates: int = 5
    k: int = 4
    messages: int = 5
    words: int = 1
    width: int = PocketConfig().width
    layers: int = PocketConfig().num_layers

    @property
    def model(self) -> PocketConfig:
        """The models' architecture."""
        return PocketConfig(width=self.width, mlp_width=4 * self.width, num_layers=self.layers)


class WordedSender(Sender):
    """Is given the words of its referents: a model with random weights finds none."""

    def _describe(self, referents: list[Referents]) -> list[str]:
        return [self.world.describe(referent) for referent in referents]


def small_world(words: int = 1, values: int = FEW_VALUES) -> World:
    """The default world with few values an attribute, each of which says its name `words` times."""
    whole = objects_world()
    attributes = tuple(
        replace(a, values=tuple(" ".join([value] * words) for value in a.values[:values]))
        for a in whole.attributes
    )
    return replace(whole, attributes=attributes)


class Models:
    """Pairs of random models; of one architecture and one world there is one, which remembers."""

    def __init__(self) -> None:
        self._pocket = FrozenLM()
        self._lms: dict[PocketConfig, FrozenLM] = {}
        self._pairs: dict[tuple[PocketConfig, int], Pair] = {}

    def pair(self, size: StepSize) -> Pair:
        """The pair that plays a step of this size."""
        found = self._pairs.get((size.model, size.words))
        if found is None:
            lm, world = self._lm(size.model), small_world(size.words)
            found = self._pairs[size.model, size.words] = Pair(WordedSender(lm, world), Receiver(lm), world)
        return found

    def _lm(self, architecture: PocketConfig) -> FrozenLM:
        if architecture not in self._lms:
            tokenizer = self._pocket.tokenizer
            model = build_model(tokenizer, architecture, seed=0)
            model.set_attn_implementation("sdpa")  # what a model that is loaded has
            decode_greedily(model, tokenizer)
            self._lms[architecture] = FrozenLM.of(
                model,
                tokenizer,
                name=f"random {architecture.width} x {architecture.num_layers}",
                fingerprint="",
            )
        return self._lms[architecture]


def trainer_of(size: StepSize, models: Models, folder: Path) -> Trainer:
    """A trainer of the default recipe without alignment: its next step is played with codes."""
    pair = models.pair(size)
    config = TrainConfig(
        alignment_steps=0,
        continuous_share=0.0,
        steps=1_000_000,
        batch_size=size.batch,
        num_candidates=size.candidates,
        messages_per_context=size.messages,
        validation_episodes=1,
        folder=folder,
    )
    return quantised_trainer(pair, config, folder, VectorQuantizedConfig(k=size.k))


def quantised_trainer(
    pair: Pair,
    config: TrainConfig,
    folder: Path,
    codec: VectorQuantizedConfig = VectorQuantizedConfig(),  # noqa: B008 - immutable
) -> Trainer:
    """A trainer of `latent_vq` after its first step; with no more codes than referents to begin them from."""
    codes = min(codec.codebook_size, len(pair.world.referents("train")))
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(replace(codec, codebook_size=codes), pair.interface)
    trainer = Trainer(channel, pair, config, folder)
    trainer.step()  # the codes begin, and the optimiser's moments
    return trainer


def context_tokens(size: StepSize, models: Models) -> int:
    """Tokens of what a receiver reads before the message, the longest of a batch."""
    pair = models.pair(size)
    everyone = pair.world.referents("train")
    drawn = [everyone[start : start + size.candidates] for start in range(size.batch)]
    return pair.read(drawn, cached=False).ids.shape[1]


@contextmanager
def bytes_kept(lm: FrozenLM) -> Iterator[dict[int, int]]:
    """Bytes of each storage that is saved for the backward pass in the block, the model's weights apart.

    Yields:
        Bytes by storage; a storage that several operations save counts once.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in lm.model.parameters()}
    saved: dict[int, int] = {}
    kept = []  # a storage that is let go could lend its address to the next

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield saved


def bytes_of_a_step(trainer: Trainer) -> int:
    """What one step keeps to go backwards."""
    with bytes_kept(trainer.pair.receiver.lm) as saved:
        trainer.step()
    return sum(saved.values())
