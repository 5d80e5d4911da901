"""The trainer's fast path is the plain one: for every channel that learns, objective and precision.

The fast path reads a context once, keeps its keys and values, and plays several messages in it. Both paths
begin with the same messages as they came through the channel, since in training some are drawn by chance.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from objective_cases import NAMES, evaluate
from plain_objectives import PLAIN, Played, rewards, terms_of
from plain_path import PlainLikelihood, PlainReceiver
from trainer_cases import CODECS, make_trainer, only

from parley.agents.examples import draw_examples
from parley.agents.language_model import FrozenLM
from parley.agents.model_channels.kv import KvConfig
from parley.agents.model_channels.lora_encoder import LoraEncoderConfig
from parley.agents.pair import Pair, ReceiverView
from parley.agents.player import ReceiverSettings
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import ActivationPatch, CacheEntries, SoftPrompt
from parley.channels.codec import CodecConfig
from parley.channels.registry import channel_class, channel_names
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game

CHANNELS = [name for name in channel_names() if channel_class(name).trainable]
SETTINGS = CODECS | {"kv": KvConfig(hidden_width=16), "lora_encoder": LoraEncoderConfig(codec_width=32)}
PLAYED = ("ce", "help", "contrast", "swap_contrast", "info_nce", "teacher_kl")
MANY = {"batch_size": 3, "messages_per_context": 3, "num_candidates": 4}
# relative: of an objective's value, and of the whole gradient by L2 norm; measured on a CPU were at most
# 8e-6 and 1.4e-5 in float32, 8e-3 and 1.3e-2 in bfloat16
CLOSE = {torch.float32: (1e-4, 1e-4), torch.bfloat16: (0.03, 0.05)}


@pytest.fixture(scope="module")
def pocket(small_world):
    lm = FrozenLM()
    return Pair(Sender(lm, small_world), Receiver(lm), small_world)


@pytest.fixture(scope="module")
def halved(small_world, pocket, qwen3_folder):
    """Both in bfloat16; the receiver is a Qwen3 whose heads share keys and values."""
    sender, receiver = (FrozenLM(name, dtype=torch.bfloat16) for name in ("pocket", str(qwen3_folder)))
    return Pair(Sender(sender, small_world), Receiver(receiver), small_world)


@pytest.fixture(scope="module")
def by_likelihood(small_world, pocket):
    """The receiver is shown an example, and read by the texts of the candidates."""
    game = find_game(DEFAULT_GAME, small_world, EpisodeConfig(split="train", num_candidates=3))
    examples = draw_examples(game, 0)
    settings = ReceiverSettings(readout="likelihood", calibration="content_free", shots=1)
    few = examples._replace(neutral=examples.neutral[:2])
    return Pair(pocket.sender, Receiver(pocket.receiver.lm, settings, few), small_world)


def trainer_of(pair, folder, kind, settings=None, **changed):
    """A trainer of small batches whose channel sends what it will send when it is trained."""
    codec = settings or SETTINGS.get(kind, channel_class(kind).Config())
    small = {"batch_size": 2, "messages_per_context": 2, "num_candidates": 3, "validation_episodes": 2}
    trainer = make_trainer(pair, folder, kind, codec, **{**small, **changed})
    if not trainer.channel.ready:
        trainer.channel.start_quantizing(trainer.train_utterances)
    return trainer


def weights_of(pair, kind, **settings):
    """A different weight for every objective that the channel can be asked for."""
    channel = channel_class(kind)(SETTINGS.get(kind, channel_class(kind).Config()), pair.interface).train()
    few = pair.world.referents("train")[:2]
    terms = terms_of(channel.relay(pair.speak(channel, few, ReceiverView([few, few], [0, 1]))))
    return only(**{name: 1 + 0.1 * number for number, name in enumerate(terms)}, **settings)


def both(trainer, change=lambda receiver_input: receiver_input):
    """What the trainer plays next, if need be with other receiver inputs, and the same for the plain path."""
    config, pair = trainer.config, trainer.pair
    begun = trainer.step_number - config.alignment_steps
    episodes = trainer.episodes.draw(config.batch_size, begun, copy.deepcopy(trainer.rng))
    contexts = trainer.sample_contexts()
    messages = trainer.send(contexts.sender_views, contexts.seen)
    output = messages.output._replace(receiver_input=change(messages.output.receiver_input))
    batch = trainer.receive(replace(messages, output=output), contexts)
    views = np.stack([episode.candidates[episode.target] for episode in episodes])
    assert np.array_equal(batch.sender_views.numpy(), views)
    by_letter = pair.receiver.readout.name == "label"
    receiver = PlainReceiver(pair.receiver.lm) if by_letter else PlainLikelihood(pair.receiver)
    candidates = [[pair.world.describe(c) for c in episode.candidates] for episode in episodes]
    assert len({len(receiver.prompt(row)[0]) for row in candidates}) > 1, "the fast path has to pad"
    said = pair.sender.describe(pair.world.referents("train"))
    return batch, Played(
        receiver=receiver,
        candidates=candidates,
        targets=[episode.target for episode in episodes],
        views=torch.from_numpy(views),
        per_context=config.messages_per_context,
        output=output,
        null=trainer.channel.null_input(1),
        texts=pair.sender.describe(views),
        pooled=batch.pooled,
        loss=trainer.loss,
        vocabulary=sorted({token for text in said for token in receiver.tokens_of(text)}),
        among=config.objectives.among,
    )


def check(batch, played, objectives, trainable):
    """Every objective's value, and the gradient of their weighted sum, are those of the plain path."""
    of_values, of_gradients = CLOSE[played.receiver.lm.dtype]
    total, values = evaluate(played.loss, batch)
    asked = objectives.weights
    assert values.keys() == asked.keys()
    plain = {name: PLAIN[name](played) for name in asked}
    assert batch.rewards.tolist() == rewards(played)
    for name, value in plain.items():
        error = abs(values[name].item() - value.item())
        assert error <= of_values * max(abs(value.item()), 0.01), f"{name}: {values[name]} for {value}"
    wanted = gradient_of(sum(asked[name] * value for name, value in plain.items()), trainable)
    error = (gradient_of(total, trainable) - wanted).norm() / wanted.norm()
    assert error <= of_gradients, f"gradient: {error}"
    return plain


def gradient_of(total, trainable):
    parts = torch.autograd.grad(
        total, trainable, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in parts])


def trainable_of(trainer):
    return [*trainer.trainable.parameters()]


def compare(trainer):
    batch, played = both(trainer)
    return check(batch, played, trainer.config.objectives, trainable_of(trainer))


def distinct(vectors):
    """As long as the given ones, but each in a direction of its own."""
    torch.manual_seed(1)
    other = torch.randn_like(vectors)
    return (other * vectors.detach().norm() / other.norm()).requires_grad_()


def test_every_built_in_objective_has_a_formula():
    assert PLAIN.keys() == set(NAMES)


@pytest.mark.parametrize("kind", CHANNELS)
def test_every_channel_in_float32(pocket, tmp_path, kind):
    compare(trainer_of(pocket, tmp_path, kind, objectives=weights_of(pocket, kind)))


@pytest.mark.parametrize("kind", CHANNELS)
def test_every_channel_in_bfloat16_with_grouped_queries(halved, tmp_path, kind):
    compare(trainer_of(halved, tmp_path, kind, objectives=weights_of(halved, kind)))


def test_every_objective_has_something_to_say(pocket, tmp_path):
    """No margin is met here, and not all picks are right: every term has gradient."""
    objectives = weights_of(pocket, "symbols")
    values = compare(trainer_of(pocket, tmp_path, "symbols", objectives=objectives, **MANY))
    assert values.keys() == set(NAMES)
    assert all(value != 0 for name, value in values.items() if name != "quantizer"), values


def test_every_objective_under_likelihood(by_likelihood, tmp_path):
    objectives = weights_of(by_likelihood, "symbols")
    values = compare(trainer_of(by_likelihood, tmp_path, "symbols", objectives=objectives))
    assert {*PLAYED, "reinforce"} <= values.keys()


def test_texts_among_all_that_could_be_said(by_likelihood, tmp_path):
    objectives = only(ce=1.0, help=0.5, among="vocabulary")
    compare(trainer_of(by_likelihood, tmp_path, "latent", objectives=objectives))


def test_states_grafted_before_a_tree(by_likelihood, tmp_path):
    batch, played = both(
        trainer_of(by_likelihood, tmp_path, "latent", objectives=only(ce=1.0)),
        lambda given: ActivationPatch(distinct(given.vectors[:, 0]), 0.5, "add"),
    )
    check(batch, played, only(ce=1.0), [played.output.receiver_input.states])


def test_a_receiver_of_another_width_and_vocabulary(pocket, small_world, tmp_path):
    pair = Pair(pocket.sender, Receiver(FrozenLM("pocket_narrow")), small_world)
    compare(trainer_of(pair, tmp_path, "kv", objectives=weights_of(pair, "kv"), batch_size=3))


def test_labels_among_the_whole_vocabulary(pocket, tmp_path):
    compare(trainer_of(pocket, tmp_path, "latent", objectives=only(ce=1.0, help=0.5, among="vocabulary")))


def test_reward_alone(pocket, tmp_path):
    """Nothing is played with gradient."""
    objectives = only(reinforce=1.0, entropy=0.1)
    assert compare(trainer_of(pocket, tmp_path, "symbols", objectives=objectives, **MANY))["reinforce"]


def test_a_prefix_at_the_start(pocket, tmp_path):
    codec = CodecConfig(codec_width=32, at_start=True)
    trainer = trainer_of(pocket, tmp_path, "latent", codec, objectives=only(**dict.fromkeys(PLAYED, 1.0)))
    compare(trainer)


def test_messages_of_unequal_length(pocket, tmp_path):
    """Some say less than others, and one says nothing."""
    objectives = only(**dict.fromkeys(PLAYED, 1.0))
    trainer = trainer_of(pocket, tmp_path, "latent", objectives=objectives)
    mask = torch.arange(4) < torch.tensor([4, 2, 0, 3])[:, None]
    batch, played = both(trainer, lambda given: SoftPrompt(distinct(given.vectors), mask=mask))
    check(batch, played, objectives, [played.output.receiver_input.vectors])


def test_cached_messages_of_unequal_length(pocket, tmp_path):
    objectives = only(**dict.fromkeys(PLAYED, 1.0))
    mask = torch.arange(8) < torch.tensor([4, 8, 0, 3])[:, None]
    batch, played = both(
        trainer_of(pocket, tmp_path, "kv", objectives=objectives),
        lambda given: CacheEntries(distinct(given.keys), distinct(given.values), mask),
    )
    check(batch, played, objectives, [*played.output.receiver_input[:2]])


@pytest.mark.parametrize("mode", ["replace", "add", "mean"])
def test_grafted_states(pocket, tmp_path, mode):
    objectives = only(ce=1.0, contrast=1.0, swap_contrast=1.0)
    batch, played = both(
        trainer_of(pocket, tmp_path, "latent", objectives=objectives),
        lambda given: ActivationPatch(distinct(given.vectors[:, 0]), 0.5, mode),
    )
    check(batch, played, objectives, [played.output.receiver_input.states])
