"""The recipes by name: the failed one as prior art has it, constant for constant."""

import pytest

from parley.channels.codec import CodecConfig
from parley.channels.latent import ScalarQuantizedConfig, VectorQuantizedConfig
from parley.channels.registry import channel_class
from parley.channels.symbols import SymbolsConfig
from parley.training.config import TrainConfig
from parley.training.presets import DEFAULT_PRESET, PRESETS, find_preset


def codec_of(preset, channel=None):
    return find_preset(preset).codec_for(channel_class(channel or find_preset(preset).channel))


def test_the_recipes_that_there_are():
    assert list(PRESETS) == ["original", "default", "aligned", "reinforce"]
    assert DEFAULT_PRESET == "default"
    assert all(find_preset(name).about for name in PRESETS)


def test_attempt_02_s_codec_is_the_failed_experiment_s():
    """Prior art, section 1: last-token final-layer state of the message -> MLP(512) -> k x d latents;
    identity decoder; LayerNorm, times a gate learned from 0.5; at position 0, outside the chat template."""
    codec = codec_of("original")
    assert isinstance(codec, CodecConfig)
    assert codec.k == 4
    assert codec.encoder == "pooled"  # the last token alone
    assert codec.depth == 1.0  # of the final layer
    assert codec.reads == "message"
    assert codec.codec_width == 512
    assert codec.latent_width == 0  # d: as wide as the receiver's embeddings
    assert codec.decoder == "identity"
    assert codec.initial_gate == 0.5
    assert codec.at_start is True
    assert codec.standardize is False  # raw states, of cosine .91


def test_attempt_02_s_loss_is_the_failed_experiment_s():
    """Prior art, section 1: CE_pos + 0.5*relu(1.0 - (CE_neg - CE_pos)) + 1.0*relu(CE_pos - CE_null + 0.2)
    + 20*recon + 10*info."""
    weights = find_preset("original").training.objectives
    assert {name: weight for name, weight in weights.weights.items() if weight} == {
        "ce": 1.0, "contrast": 0.5, "help": 1.0, "state_reconstruction": 20.0, "info_preserve": 10.0
    }  # fmt: skip
    assert weights.settings == {"contrast": {"margin": 1.0}, "help": {"margin": 0.2}}
    assert weights.among == "vocabulary"  # the answer was spoken, not chosen among labels


def test_attempt_02_is_trained_as_the_failed_experiment_was():
    """Prior art, section 1: 10 epochs, batch 8, AdamW 1e-3, cosine per epoch, clip 1.0."""
    training = find_preset("original").training
    assert training.batch_size == 8
    assert training.fixed_episodes == 1099
    assert training.steps == 1374 == round(10 * 1099 / 8)
    assert training.learning_rate == 1e-3
    assert training.learning_rate_every == 137 == 1099 // 8  # once an epoch
    assert training.warmup_steps == 0
    assert training.beta2 == 0.999  # torch's own default for AdamW
    assert training.weight_decay == 0.01  # likewise
    assert training.max_grad_norm == 1.0
    assert training.alignment_steps == 0
    assert training.messages_per_context == 1
    assert find_preset("original").channel == "latent"


def test_attempt_02_says_what_it_could_not_carry_over():
    assert len(find_preset("original").differs) == 5


def test_attempt_03_is_all_defaults():
    preset = find_preset("default")
    assert preset.channel == "latent_vq"
    assert codec_of("default") == VectorQuantizedConfig()
    assert preset.training == TrainConfig()
    assert preset.differs == ()


def test_reinforce_sees_nothing_but_reward():
    preset = find_preset("reinforce")
    assert preset.channel == "symbols"
    assert isinstance(codec_of("reinforce"), SymbolsConfig)
    asked = {name for name, weight in preset.training.objectives.weights.items() if weight}
    assert asked == {"reinforce", "entropy"}
    assert preset.training.objectives.needs == {"rewards", "policy"}
    assert preset.training.alignment_steps == 0


def test_a_preset_gives_another_channel_what_it_knows_of():
    codec = codec_of("original", "latent_vq")
    assert isinstance(codec, VectorQuantizedConfig)
    assert (codec.encoder, codec.at_start, codec.codebook_size) == ("pooled", True, 64)
    other = codec_of("original", "latent_fsq")
    assert isinstance(other, ScalarQuantizedConfig)
    assert (other.encoder, other.levels) == ("pooled", (8, 8))
    text = codec_of("original", "text")
    assert text == channel_class("text").Config()


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("orignal", ", did you mean 'original'?"),
        ("reinforced", ", did you mean 'reinforce'?"),
        ("zzz", "."),
    ],
)
def test_an_unknown_preset_lists_the_valid_ones_and_suggests_the_nearest(asked, hint):
    with pytest.raises(ValueError, match="unknown preset") as caught:
        find_preset(asked)
    wanted = f"unknown preset {asked!r}{hint} The presets are: original, default, aligned, reinforce"
    assert str(caught.value) == wanted


def test_a_preset_is_not_changed_by_who_uses_it():
    for preset in map(find_preset, PRESETS):
        with pytest.raises(AttributeError):
            preset.channel = "text"
