"""The whole way, as a user goes it: minutes on a CPU (slow), or on a CUDA device (gpu)."""

import json

import pytest
import torch

from parley.agents.command_line import ExitCode
from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.envs.world import objects_world
from parley.evaluation import gate1
from parley.evaluation.playing.play import PlayConfig
from parley.training.config import TrainConfig
from parley.training.run import train
from parley.training.trainer import Trainer
from studies.pretrain_pocket import PretrainConfig, Pretraining


@pytest.mark.slow
def test_latent_vq_learns_and_passes_gate_1(tmp_path):
    run = tmp_path / "latent_vq-seed0"
    assert train("latent_vq", VectorQuantizedConfig(), TrainConfig(folder=run)) == run
    config = gate1.Gate1Config(
        seed=0,
        channels=("latent_vq",),
        checkpoint=(run,),
        folder=tmp_path / "gate1",
        play=PlayConfig(episodes=200),
    )
    assert gate1.run(config, []) == ExitCode.PASS
    results = json.loads((tmp_path / "gate1/results.json").read_text())
    assert results["channels"]["latent_vq"]["conditions"]["normal"]["rate"] >= 0.8


@pytest.mark.slow
def test_the_pocket_s_matching_clicks_within_the_first_steps(tmp_path):
    """The recipe's first two stages, as docs/LOG.md reports them: mastered at steps 437 and 775."""
    training = Pretraining(PretrainConfig(folder=tmp_path, max_steps=1200), objects_world())
    assert any(record["stage"] == 2 for record in training.steps())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_bfloat16_pair_trains_a_float32_codec_on_a_gpu(tmp_path):
    pair = Pair.load(ModelConfig(device="cuda"), objects_world())
    assert pair.receiver.lm.dtype == torch.bfloat16
    frozen = {name: value.clone() for name, value in pair.receiver.lm.model.state_dict().items()}
    channel = VectorQuantizedChannel(VectorQuantizedConfig(), pair.interface)
    config = TrainConfig(
        steps=4, alignment_steps=1, validate_every=2, validation_episodes=16, folder=tmp_path
    )
    trainer = Trainer(channel, pair, config, tmp_path)
    trainer.run()
    assert {value.dtype for value in channel.parameters()} == {torch.float32}
    assert all(torch.isfinite(value).all() for value in channel.parameters())
    for name, value in pair.receiver.lm.model.state_dict().items():
        assert torch.equal(value, frozen[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_map_plays_as_one_device_does_on_a_gpu():
    """One card, or several where there are several."""
    alone, placed = (FrozenLM(device="cuda"), FrozenLM(device_map="balanced"))
    assert (placed.device, placed.dtype) == (alone.device, torch.bfloat16)
    candidates = [
        ["small red metal cube", "large blue wood ball"],
        ["tiny green clay star", "huge red cloth tube"],
    ]
    logits = []
    for lm in (alone, placed):
        receiver = Receiver(lm)
        context = receiver.read(candidates).repeat(2)
        vectors = torch.ones(4, 4, lm.width, device=lm.device, requires_grad=True)
        logits.append(receiver.choose(context, SoftPrompt(vectors)))
        logits[-1].sum().backward()
        assert vectors.grad.isfinite().all()
    torch.testing.assert_close(*logits, rtol=0.05, atol=0.1)
