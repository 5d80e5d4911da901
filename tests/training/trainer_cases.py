"""Small trainings on the pocket."""

import torch

from parley.channels.codec import CodecConfig
from parley.channels.gumbel import GumbelConfig
from parley.channels.latent import ScalarQuantizedConfig, VectorQuantizedConfig
from parley.channels.registry import channel_class
from parley.channels.residual import ResidualQuantizedConfig
from parley.channels.symbols import SymbolsConfig
from parley.training.config import TrainConfig
from parley.training.loss import ObjectiveWeights
from parley.training.presets import find_preset
from parley.training.trainer import Trainer

SMALL = {
    "alignment_steps": 0,
    "batch_size": 4,
    "messages_per_context": 2,
    "validate_every": 2,
    "validation_episodes": 8,
    "warmup_steps": 2,
}
CODECS = {
    "latent": CodecConfig(codec_width=32),
    "latent_vq": VectorQuantizedConfig(codebook_size=16, codec_width=32),
    "latent_fsq": ScalarQuantizedConfig(codec_width=32),
    "latent_rvq": ResidualQuantizedConfig(codec_width=32),
    "latent_gumbel": GumbelConfig(codebook_size=16, codec_width=32),
    "symbols": SymbolsConfig(codebook_size=16, codec_width=32),
}


def make_trainer(pair, folder, kind="latent_vq", codec=None, **settings):
    torch.manual_seed(0)
    config = TrainConfig(**{**SMALL, "steps": 4, **settings})
    channel = channel_class(kind)(codec or CODECS[kind], pair.interface)
    return Trainer(channel, pair, config, folder)


def failed_codec(**changed):
    """The codec of the failed experiment, narrower."""
    settings = {**find_preset("original").codec, "codec_width": 32}
    return CodecConfig(**{**settings, **changed})


def only(among="choices", settings=None, **weights):
    return ObjectiveWeights(weights=weights, settings=settings or {}, among=among)


def messages_of(trainer):
    """Messages as an alignment step sends them."""
    return trainer.send(trainer.sample_sender_views())


def played(trainer, contexts=None):
    """What a step plays, up to its losses."""
    contexts = contexts or trainer.sample_contexts()
    return trainer.receive(trainer.send(contexts.sender_views, contexts.seen), contexts)


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def moved(trainer, before):
    """Names of the codec's parameters that are no longer what they were."""
    return {
        name for name, value in trainer.channel.named_parameters() if not torch.equal(value, before[name])
    }
