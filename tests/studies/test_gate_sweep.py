"""The gate sweep: gate 0 is null, bit for bit, and the learned gate is the channel as it is."""

import io
import json
import struct

import pytest
import torch
from matplotlib.figure import Figure
from rich.console import Console

from parley.agents.command_line import ExitCode, parse_arguments, run_command
from parley.channels.checkpoint import save_channel
from parley.channels.registry import channel_class
from parley.channels.text import TextChannel
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import Entry, PlayConfig, play
from studies import gate_chart, gate_sweep
from studies.gate_sweep import GateSweepConfig, print_gates, sweep, with_gate

EPISODES = PlayConfig(episodes=30, seed=3)
GATES = (1.5, 0.0, 0.5)


pytestmark = pytest.mark.usefixtures("pocket_loaded_once")


@pytest.fixture(scope="module")
def pair(pocket_pair):
    return pocket_pair


@pytest.fixture(scope="module")
def channel(pair):
    """An untrained codec, whose messages differ and matter to the receiver."""
    found = enter("latent_vq", pair, None).channel
    torch.nn.init.constant_(found.decoder.scale_gate, 0.8)
    return found


def quiet():
    return Console(file=io.StringIO(), width=90)


@pytest.fixture(scope="module")
def results(pair, channel):
    return sweep(pair, channel, GATES, EPISODES, quiet())


@pytest.fixture(scope="module")
def checkpoint(pair, channel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "latent_vq-seed0"
    folder.mkdir()
    save_channel(folder / "channel.safetensors", channel, pair.fingerprints, {"seed": 0})
    return folder


def test_gate_0_is_null_in_every_logit(pair, channel):
    utterance = pair.sender.speak(pair.world.referents("test")[:10], channel.features)
    context = pair.read(list(pair.world.referents("test")[:50].reshape(10, 5, -1)))
    at_0 = with_gate(channel, 0.0)
    null = pair.receiver.choose(context, channel.null_input(10))
    assert torch.equal(pair.receiver.choose(context, at_0.receive(at_0.send(utterance))), null)
    learned = pair.receiver.choose(context, channel.receive(channel.send(utterance)))
    assert not torch.allclose(learned, null, atol=1e-2)


def test_gate_0_is_null_in_every_record(pair, channel):
    entries = {
        "0": Entry(with_gate(channel, 0.0), conditions=("normal",)),
        "null": Entry(channel, conditions=("null",)),
    }
    played = [record for batch in play(pair, entries, EPISODES) for record in batch]
    normal, null = played[: len(played) // 2], played[len(played) // 2 :]
    assert {(record.channel, record.condition) for record in played} == {("0", "normal"), ("null", "null")}
    for one, other in zip(normal, null, strict=True):
        assert (one.choice, one.probabilities) == (other.choice, other.probabilities)
        assert (one.episode_id, one.target) == (other.episode_id, other.target)


def test_the_sweep_holds_each_gate_in_order_and_the_learned_one(results):
    points = results["gates"]
    assert [point["gate"] for point in points] == [0.0, 0.5, pytest.approx(0.8), 1.5]
    assert [point["learned"] for point in points] == [False, False, True, False]
    assert results["learned_gate"] == points[2]["gate"]
    assert (results["channel"], results["num_candidates"], results["chance"]) == ("latent_vq", 5, 0.2)
    proportion = {"n", "successes", "rate", "ci_low", "ci_high", "confidence", "nll"}
    assert set(results["null"]) == proportion
    assert all(set(point) == proportion | {"gate", "learned"} for point in points)
    assert all(point["n"] == 30 for point in [*points, results["null"]])
    assert {key: points[0][key] for key in proportion} == results["null"]
    assert points[2]["nll"] != results["null"]["nll"]


def test_the_learned_gate_plays_the_channel_as_it_is(pair, channel, results):
    batches = play(pair, {"latent_vq": Entry(channel, conditions=("normal",))}, EPISODES)
    successes = sum(record.success for batch in batches for record in batch)
    learned = next(point for point in results["gates"] if point["learned"])
    assert learned["successes"] == successes
    assert learned["rate"] == successes / 30


def test_a_gate_that_is_the_learned_one_is_played_once(pair, channel):
    learned = channel.decoder.scale_gate.item()
    found = sweep(pair, channel, (learned, learned), EPISODES, quiet())
    assert [(point["gate"], point["learned"]) for point in found["gates"]] == [(learned, True)]


def test_the_gate_scales_a_copy_and_leaves_the_channel(channel):
    before = {name: value.clone() for name, value in channel.state_dict().items()}
    scaled = with_gate(channel, 0.25)
    assert scaled.decoder.scale_gate.item() == 0.25
    assert not scaled.training
    assert all(torch.equal(value, before[name]) for name, value in channel.state_dict().items())
    others = {name: value for name, value in scaled.state_dict().items() if name != "decoder.scale_gate"}
    assert all(torch.equal(value, before[name]) for name, value in others.items())


# the command


def command(*arguments):
    def main():
        config = parse_arguments(GateSweepConfig, arguments, None, "studies.gate_sweep")
        return gate_sweep.run(config, list(arguments))

    return run_command(main)


def test_the_command_writes_and_shows_the_sweep(checkpoint, capsys):
    arguments = (
        "--checkpoint",
        str(checkpoint),
        "--gates",
        "0",
        "1.5",
        "--episodes",
        "20",
        "--device",
        "cpu",
    )
    assert command(*arguments) == ExitCode.PASS
    folder = checkpoint / "gate_sweep"
    assert {path.name for path in folder.iterdir()} == {"gate_sweep.json", "gate_sweep.png"}
    found = json.loads((folder / "gate_sweep.json").read_text())
    assert [point["gate"] for point in found["gates"]] == [0, pytest.approx(0.8), 1.5]
    assert found["schema_version"] == 1
    provenance = found["provenance"]
    assert provenance["command"].startswith("python -m studies.gate_sweep --checkpoint ")
    assert len(provenance["checkpoints"]["latent_vq"]["sha256"]) == 64
    assert provenance["episodes"] == 20
    picture = (folder / "gate_sweep.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= 1000
    assert height >= 600
    shown = " ".join(capsys.readouterr().out.split())
    assert "learned" in shown
    assert "chance 20.0%" in shown
    assert "gate_sweep" in shown


def test_a_file_and_a_folder_may_be_named(checkpoint, tmp_path):
    arguments = ("--checkpoint", str(checkpoint / "channel.safetensors"), "--folder", str(tmp_path / "a/b"))
    assert command(*arguments, "--gates", "1", "--episodes", "4", "--device", "cpu") == ExitCode.PASS
    assert (tmp_path / "a/b/gate_sweep.json").exists()


def test_the_table_shows_every_number(results):
    console = quiet()
    print_gates(results, console)
    lines = console.file.getvalue().splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    for name, point in [("null", results["null"]), *((f"{p['gate']:.4g}", p) for p in results["gates"])]:
        for shown in (
            f"{100 * point['rate']:.1f}%",
            f"{100 * point['ci_low']:.0f}–{100 * point['ci_high']:.0f}",
            f"{point['nll']:.3f}",
        ):
            assert shown in rows[name]
    assert "learned" in rows["0.8"]
    assert "the prefix is null" in rows["0"]
    assert "learned" not in rows["0.5"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--gates"], ExitCode.USAGE, "gates must hold at least 1 value, got none"),
        (["--gates", "-0.5"], ExitCode.USAGE, "gates must be from 0 to 100.0, got -0.5"),
        (["--gates", "101"], ExitCode.USAGE, "gates must be from 0 to 100.0, got 101"),
        (["--gates", "nan"], ExitCode.USAGE, "gates must be from 0 to 100.0, got nan"),
        (["--episodes", "1"], ExitCode.USAGE, "episodes must be from 2 to"),
    ],
)
def test_bad_settings_are_refused(checkpoint, capsys, arguments, code, words):
    assert command("--checkpoint", str(checkpoint), *arguments) == code
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_checkpoint_that_is_not_there_is_one_line(capsys, tmp_path):
    assert command("--checkpoint", str(tmp_path)) == ExitCode.COULD_NOT_RUN
    assert "no checkpoint at" in capsys.readouterr().err


def test_a_channel_without_a_gate_is_refused(pair, capsys, tmp_path):
    text = TextChannel(channel_class("text").Config(), pair.interface)
    text.register_buffer("something", torch.zeros(1))
    save_channel(tmp_path / "channel.safetensors", text, pair.fingerprints, {})
    assert command("--checkpoint", str(tmp_path)) == ExitCode.USAGE
    assert "checkpoint must be of a channel with a scale gate, got 'text'" in capsys.readouterr().err
    assert not (tmp_path / "gate_sweep").exists()


# the picture


def test_the_picture_shows_every_gate_the_null_band_and_chance(results, monkeypatch):
    figures = []

    class Kept(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(gate_chart, "Figure", Kept)
    gate_chart.draw_gates(results)
    [axes] = figures[-1].axes
    points = {
        (x, y)
        for line in axes.lines
        if line.get_marker() in ("o", "D")
        for x, y in zip(*line.get_data(), strict=True)
    }
    assert points == {(point["gate"], point["rate"]) for point in results["gates"]}
    [diamond] = [line for line in axes.lines if line.get_marker() == "D"]
    assert diamond.get_xdata() == [results["learned_gate"]]
    spans = sorted(tuple(segment[:, 1]) for bars in axes.collections for segment in bars.get_segments())
    assert spans == sorted((point["ci_low"], point["ci_high"]) for point in results["gates"])
    legend = [text.get_text() for text in figures[-1].legends[0].get_texts()]
    assert legend == ["null", "chance, 1/5", "gate set by hand", "learned gate, 0.8"]
    [band] = axes.patches
    assert band.get_y() == results["null"]["ci_low"]
    assert band.get_y() + band.get_height() == pytest.approx(results["null"]["ci_high"])
    box = figures[-1].legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figures[-1].bbox.width
    only_learned = results | {"gates": [point for point in results["gates"] if point["learned"]]}
    assert gate_chart.draw_gates(only_learned).startswith(b"\x89PNG")
