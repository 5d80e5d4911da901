"""Nobody plays around the environment: taken away, or changed, it is missed by training and validation."""

import json
import sys

import numpy as np
import pytest
import torch
from trainer_cases import CODECS, make_trainer, only, played, snapshot

from parley.agents.model_channels.kv import KvConfig
from parley.agents.model_channels.lora_encoder import LoraEncoderConfig
from parley.channels.base import TextInput
from parley.channels.checkpoint import read_header
from parley.channels.receiver_input import tensors_of
from parley.channels.registry import channel_class, channel_names
from parley.envs import game as games
from parley.envs.batched import BatchedEnv
from parley.envs.rules import RECEIVER, SENDER, Rules
from parley.training.run import parse, train

TRAINABLE = [name for name in channel_names() if channel_class(name).trainable]
SETTINGS = CODECS | {"kv": KvConfig(hidden_width=16), "lora_encoder": LoraEncoderConfig(codec_width=32)}
REWARD = only(reinforce=1.0)


class TakenAwayError(Exception):
    """There is no environment any more."""


def taken_away(*arguments, **settings):
    raise TakenAwayError


def trainer_of(pair, folder, kind, **settings):
    codec = SETTINGS.get(kind, channel_class(kind).Config())
    return make_trainer(pair, folder, kind, codec, **{"objectives": only(ce=1.0), **settings})


@pytest.mark.parametrize("method", ["reset", "step"])
def test_without_the_environment_nothing_is_trained_or_validated(pocket_pair, tmp_path, method, monkeypatch):
    trainer = trainer_of(pocket_pair, tmp_path, "latent")
    monkeypatch.setattr(BatchedEnv, method, taken_away)
    for play in (trainer.step, trainer.validate):
        with pytest.raises(TakenAwayError):
            play()


def steps_taken(monkeypatch):
    """What is given to the environment, agent by agent."""
    taken, step = [], BatchedEnv.step

    def noted(self, actions):
        taken.append(actions)
        return step(self, actions)

    monkeypatch.setattr(BatchedEnv, "step", noted)
    return taken


def test_a_step_sends_its_messages_and_its_choices(pocket_pair, tmp_path, monkeypatch):
    trainer, taken = trainer_of(pocket_pair, tmp_path, "latent"), steps_taken(monkeypatch)
    batch = played(trainer)
    sent, chosen = taken
    assert np.array_equal(np.stack(sent[SENDER]), batch.output.latents.detach().numpy())
    assert np.array_equal(chosen[RECEIVER], batch.answers["normal"].logits.argmax(-1).numpy())


def test_contexts_are_what_the_environment_shows(pocket_pair, tmp_path, monkeypatch):
    """Its observations are what the receiver reads and the sender speaks about."""
    trainer, reset = trainer_of(pocket_pair, tmp_path, "latent"), BatchedEnv.reset

    def turned(self, **settings):
        observations, infos = reset(self, **settings)
        for view in (observations[SENDER]["target"], observations[RECEIVER]["candidates"]):
            view[:] = np.roll(view, 1, axis=-1) % 4
        return observations, infos

    monkeypatch.setattr(BatchedEnv, "reset", turned)
    contexts = trainer.sample_contexts()
    own = np.stack([episode.candidates for episode in contexts.episodes])
    shown = np.roll(own, 1, axis=-1) % 4
    assert np.array_equal(contexts.receiver_views, shown)
    read = pocket_pair.read(list(shown[::2]))
    assert torch.equal(contexts.context.ids, read.ids)
    described = pocket_pair.sender.describe(contexts.sender_views)
    assert list(played(trainer, contexts).utterance.texts) == described


def test_what_it_pays_is_what_is_learned_from_logged_and_validated(pocket_pair, tmp_path, monkeypatch):
    """An environment that pays for wrong choices turns the gradient of reward around."""
    gradients, success, validated = [], [], []
    settings = {"objectives": REWARD, "batch_size": 16, "max_grad_norm": 1e9, "validation_episodes": 20}
    own = Rules.reward
    for reward in (own, lambda self, episode, choice: 1 - own(self, episode, choice)):
        monkeypatch.setattr(Rules, "reward", reward)
        trainer = trainer_of(pocket_pair, tmp_path, "symbols", **settings)
        validated.append(trainer.validate()["validation_success"])
        success.append(trainer.step()["success"])
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.channel.encoder.parameters()]))
    assert 0 < success[0] < 1
    assert success[1] == pytest.approx(1 - success[0])
    assert validated[1] == pytest.approx(1 - validated[0])
    assert gradients[0].any()
    torch.testing.assert_close(gradients[1], -gradients[0], rtol=1e-3, atol=1e-6)


def test_what_it_delivers_is_what_is_validated(pocket_pair, tmp_path, monkeypatch):
    trainer, step = trainer_of(pocket_pair, tmp_path, "latent"), BatchedEnv.step
    own = trainer.validate()

    def shuffled(self, actions):
        if SENDER in actions:
            actions = {SENDER: [*actions[SENDER][3:], *actions[SENDER][:3]]}
        return step(self, actions)

    monkeypatch.setattr(BatchedEnv, "step", shuffled)
    other = trainer.validate()
    assert all(other[name] != own[name] for name in ("nll_normal", "nll_shuffle", "nll_swap"))
    assert other["nll_null"] == own["nll_null"]


def utterance_of(trainer):
    contexts = trainer.sample_contexts()
    return trainer.pair.speak(trainer.channel, contexts.sender_views, contexts.seen)


@pytest.mark.parametrize("kind", TRAINABLE)
def test_in_eval_mode_what_it_delivers_is_what_relay_gives(pocket_pair, tmp_path, kind):
    trainer = trainer_of(pocket_pair, tmp_path, kind)
    utterance = utterance_of(trainer)
    with torch.no_grad():
        output = trainer.channel.eval().relay(utterance)
        delivered = trainer.env.step({SENDER: output.messages}).observations[RECEIVER]["message"]
        received = trainer.channel.receive(delivered)
    assert not isinstance(received, TextInput)
    for given, wanted in zip(tensors_of(received), tensors_of(output.receiver_input), strict=True):
        assert torch.equal(given, wanted)


@pytest.mark.parametrize("kind", TRAINABLE)
def test_in_training_the_messages_are_those_that_were_relayed(pocket_pair, tmp_path, kind):
    """Codes are drawn or moved on, so they are not those that would be sent again."""
    trainer = trainer_of(pocket_pair, tmp_path, kind)
    if trainer.train_utterances is not None:
        trainer.channel.start_quantizing(trainer.train_utterances)
    with torch.no_grad():
        kept = snapshot(trainer.channel)
        output = trainer.channel.train().relay(utterance_of(trainer))
        trainer.channel.load_state_dict(kept)  # relaying moves a codebook
        received = trainer.channel.eval().receive(output.messages)
    for given, wanted in zip(tensors_of(received), tensors_of(output.receiver_input), strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_a_discrete_channel_sends_its_nearest_codes_while_it_warms_up(pocket_pair, tmp_path):
    trainer = trainer_of(pocket_pair, tmp_path, "latent_vq")
    utterance = utterance_of(trainer)
    output = trainer.channel.train().relay(utterance)
    assert not trainer.channel.ready
    assert np.array_equal(np.stack(output.messages), np.stack(trainer.channel.send(utterance)))


def test_a_channel_that_does_not_tell_its_messages_sends_them(pocket_pair, tmp_path, monkeypatch):
    trainer, taken = trainer_of(pocket_pair, tmp_path, "latent"), steps_taken(monkeypatch)
    relay = trainer.channel.relay
    monkeypatch.setattr(trainer.channel, "relay", lambda utterance: relay(utterance)._replace(messages=None))
    batch = played(trainer)
    assert np.array_equal(np.stack(taken[0][SENDER]), batch.output.latents.detach().numpy())


TOY = '''
from parley.envs.game import register_game
from parley.envs.referential import ReferentialGame


@register_game("avoid")
class Avoid(ReferentialGame):
    """Every choice is right but the one that the sender sees."""

    @property
    def chance(self):
        return 1 - 1 / self.num_choices

    def succeeds(self, episode, choice):
        return choice != episode.target
'''


@pytest.fixture
def avoid(tmp_path, monkeypatch):
    """A game of another rule, in one new file."""
    (tmp_path / "avoid.py").write_text(TOY)
    games.GAMES.names()
    monkeypatch.setattr(games.GAMES, "_known", dict(games.GAMES._known))
    monkeypatch.syspath_prepend(tmp_path)
    __import__("avoid")
    yield
    del sys.modules["avoid"]


@pytest.mark.usefixtures("avoid", "pocket_loaded_once")
def test_a_game_with_a_rule_of_its_own_is_trained_and_validated(tmp_path):
    tiny = [
        "--steps", "2", "--alignment-steps", "0", "--batch-size", "4", "--messages-per-context", "2",
        "--validation-episodes", "40", "--continuous-share", "0", "--codec-width", "16", "--device", "cpu",
        "--game", "avoid",
    ]  # fmt: skip
    folder = train(*parse([*tiny, "--folder", str(tmp_path / "run")]))
    assert json.loads((folder / "config.json").read_text())["training"]["game"] == "avoid"
    assert read_header(folder / "channel.safetensors").training["game"] == "avoid"
    [record] = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert record["validation_success"] > 0.6, "four of five choices are right"
    assert record["success"] > 0.4
    with pytest.raises(ValueError, match=r"training\.game is 'avoid' there and 'referential' here"):
        train(*parse([*tiny[:-2], "--folder", str(folder), "--resume"]))
