"""Objectives that plug-ins bring: registered, weighed by flags of their own, trained, logged and resumed."""

import contextlib
import io
import json
import re
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
from objective_cases import NAMES, Stage, evaluate, make_loss, make_messages
from trainer_cases import make_trainer, moved, only, same, snapshot

import parley.plugins.registry
from parley.agents.command_line import ExitCode
from parley.channels.latent import VectorQuantizedConfig
from parley.channels.registry import channel_names
from parley.plugins.registry import PluginError
from parley.training import objectives
from parley.training.config import TrainConfig
from parley.training.loss import ObjectiveWeights
from parley.training.metrics import METRICS
from parley.training.objective import OBJECTIVES, Objective, register_objective
from parley.training.run import parse, train
from parley.training.step import MessageBatch, PlayedBatch

PLUGIN = '''
from dataclasses import dataclass

from parley.training.objective import Objective, ObjectiveConfig, register_objective


@dataclass(frozen=True, kw_only=True)
class LoudnessConfig(ObjectiveConfig):
    wanted: float = 0.5


@register_objective("{name}", needs={{"messages"}})
class Loudness(Objective):
    """How loud the prefix is."""

    Config = LoudnessConfig

    def __call__(self, batch):
        return (batch.soft_prompt.vectors.square().mean() - self.config.wanted).abs()
'''


@pytest.fixture(autouse=True)
def registry_again(monkeypatch):
    """The registry as in a fresh process, and as it was afterwards."""
    known = OBJECTIVES
    known.names()
    channel_names()  # the other registry must not meet the entry points of a test
    monkeypatch.setattr(known, "_known", dict(known._known))
    monkeypatch.setattr(known, "_begun", set())
    monkeypatch.setattr(known, "_left_out", [])


@pytest.fixture
def loudness():
    """Two terms: of the messages, and of how they were played."""

    @register_objective("loudness", needs={"messages"})
    class Loudness(Objective):
        """How loud the prefix is."""

        def __call__(self, batch):
            assert isinstance(batch, MessageBatch)
            return batch.soft_prompt.vectors.square().mean()

    @register_objective("doubt", needs={"normal"})
    class Doubt(Objective):
        """How unlikely the target is."""

        def __call__(self, batch):
            assert isinstance(batch, PlayedBatch)
            return batch.answers["normal"].nll.mean()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes it seem that a package with this source is installed and brings an objective."""

    def install(name, source):
        (tmp_path / f"{name}package.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        point = EntryPoint(name, f"{name}package", "parley.objectives")
        monkeypatch.setattr(
            parley.plugins.registry, "entry_points", lambda group: [point] if group == point.group else []
        )

    yield install
    for name in [name for name in sys.modules if name.endswith("package") and len(name) < 20]:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_an_installed_package_brings_one_by_an_entry_point(installed):
    installed("loudness", PLUGIN.format(name="loudness"))
    assert "loudness" in OBJECTIVES.names()
    weights = parse(["--loudness", "0.5", "--loudness.wanted", "2"])[2].objectives
    assert weights.weights["loudness"] == 0.5
    assert weights.settings["loudness"] == {"wanted": 2.0}


def test_a_new_objective_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "quietness.py").write_text(PLUGIN.format(name="quietness"))
    monkeypatch.setattr(objectives, "__path__", [*objectives.__path__, str(tmp_path)])
    try:
        assert "quietness" in OBJECTIVES.names()
        assert "--quietness" in help_of_training()
    finally:
        sys.modules.pop("parley.training.objectives.quietness", None)


def help_of_training():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stop:
        parse(["--help"])
    assert stop.value.code in (0, None)
    return " ".join(out.getvalue().replace("│", " ").split())


def test_no_file_of_this_project_is_left_out():
    assert [plugin for plugin in OBJECTIVES.left_out() if "training." in plugin.source] == []


def test_the_names_that_are_taken_are_those_of_what_is_logged(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, steps=2)
    trainer.run()
    [record] = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert set(record) - set(NAMES) - set(trainer.channel.logged()) == METRICS


@pytest.mark.parametrize("name", ["loss", "success", "validation_success"])
def test_a_name_that_means_something_else_is_refused(name):
    words = f"no objective may be named '{name}': the training's log has a metric of that name"
    with pytest.raises(ValueError, match=re.escape(words)):
        register_objective(name, needs={"messages"})


def test_a_name_that_a_channel_logs_is_refused_when_they_meet(pocket_pair, tmp_path):
    @register_objective("scale_gate", needs={"messages"})
    class Gate(Objective):
        def __call__(self, batch):
            return batch.latents.mean()

    words = "objective 'scale_gate' must have another name: channel 'latent' logs a metric of that name"
    with pytest.raises(ValueError, match=words):
        make_trainer(pocket_pair, tmp_path, "latent", objectives=only(scale_gate=1.0))


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"mesages"}, "unknown need 'mesages', did you mean 'messages'? The needs are: messages, normal"),
        (set(), "needs must name at least one of messages, normal, shuffle"),
    ],
)
def test_what_it_needs_must_be_known(needs, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        register_objective("loudness", needs=needs)


@pytest.mark.usefixtures("loudness")
def test_a_name_is_given_once():
    with pytest.raises(ValueError, match=r"objective 'loudness' is registered already, by .*Loudness"):
        register_objective("loudness", needs={"messages"})(Objective)
    with pytest.raises(ValueError, match=r"objective 'ce' is registered already, by .*CrossEntropy"):
        register_objective("ce", needs={"messages"})(Objective)


@pytest.mark.usefixtures("loudness")
def test_its_term_is_weighed_like_every_other():
    batch = Stage(torch.zeros(2, 3, 4), [0, 1]).played("normal")
    total, terms = evaluate(make_loss(ce=2.0, loudness=0.5, doubt=3.0), batch)
    assert set(terms) == {"ce", "loudness", "doubt"}
    loud = batch.soft_prompt.vectors.square().mean().item()
    assert terms["loudness"].item() == pytest.approx(loud)
    assert total.item() == pytest.approx(2 * terms["ce"].item() + 0.5 * loud + 3 * terms["ce"].item())


@pytest.mark.usefixtures("loudness")
def test_of_messages_that_were_not_played_only_their_own_terms_are_asked():
    total, terms = evaluate(make_loss(loudness=4.0, doubt=3.0), make_messages(torch.ones(2, 1, 3)))
    assert list(terms) == ["loudness"]
    assert total.item() == pytest.approx(4.0)


@pytest.mark.usefixtures("loudness")
def test_it_may_be_all_that_is_asked_for():
    assert only(loudness=1.0).aligning
    assert not only(doubt=1.0).aligning
    assert not only(ce=1.0, loudness=0.0).aligning
    with pytest.raises(ValueError, match="at least one objective must have a weight above 0"):
        only(loudness=0.0)


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loudness", "much"], "much"),
        (["--loudness", "-1"], "loudness must be a finite weight of at least 0, got -1.0"),
        (["--loudness", "inf"], "loudness must be a finite weight of at least 0, got inf"),
        (["--loudnes", "1"], "Perhaps you meant: --loudness FLOAT"),
        (["--contrast", "1", "--contrast.margin", "-2"], "margin must be at least 0, got -2"),
    ],
)
def test_what_cannot_be_weighed_is_named(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == ExitCode.USAGE
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_broken_plug_in_that_is_asked_for_is_an_error_with_its_cause(installed, caplog):
    installed("loudness", "import no_such_ear")
    cause = "ModuleNotFoundError: No module named 'no_such_ear'"
    words = f"objective 'loudness' was to come from loudnesspackage, which cannot be used: {cause}"
    with pytest.raises(SystemExit) as stop:
        parse(["--loudness", "1"])
    assert stop.value.code == ExitCode.USAGE
    with pytest.raises(PluginError, match=re.escape(words)):
        ObjectiveWeights(weights={"loudness": 1.0})
    assert f"left out: plug-in 'loudness' (loudnesspackage), which cannot be used: {cause}" in caplog.text


@pytest.mark.parametrize(
    ("source", "listed"), [(PLUGIN.format(name="loudness"), True), ("import no_such_ear", False)]
)
def test_help_lists_what_there_is_and_goes_on_without_what_is_broken(installed, source, listed):
    installed("loudness", source)
    shown = help_of_training()
    assert ("--loudness FLOAT How loud the prefix is. (default: 0.0)" in shown) is listed
    assert "--ce FLOAT The target must be likely under the right message. (default: 1.0)" in shown
    assert "--help-loss FLOAT" in shown
    assert "--contrast.margin FLOAT" in shown


@pytest.mark.parametrize(
    ("value", "got"),
    [(torch.ones(3), r"shape \(3,\)"), (0.5, "float"), (torch.ones(1, 1), r"shape \(1, 1\)")],
)
def test_what_is_no_number_is_refused(value, got):
    @register_objective("vague", needs={"messages"})
    class Vague(Objective):
        def __call__(self, batch):
            return value

    with pytest.raises(
        ValueError, match=f"^objective 'vague' must return a tensor of no dimension, got {got}$"
    ):
        evaluate(make_loss(vague=1.0), make_messages(torch.ones(2, 1, 3)))


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize("name", ["loudness", "doubt"])
def test_it_teaches_the_codec_and_is_logged_by_its_name(pocket_pair, tmp_path, name):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", objectives=only(**{name: 1.0}))
    before = snapshot(trainer.channel)
    record = trainer.step()
    assert record["loss"] == record[name] > 0
    assert "decoder.scale_gate" in moved(trainer, before)


@pytest.mark.usefixtures("loudness", "pocket_loaded_once")
def test_a_run_records_it_and_is_resumed_with_it_alone(tmp_path):
    tiny = [
        "--steps", "2", "--batch-size", "2", "--messages-per-context", "1", "--validation-episodes", "4",
        "--alignment-steps", "1", "--alignment-batch", "9", "--codec-width", "16", "--device", "cpu",
    ]  # fmt: skip
    folder = ["--folder", str(tmp_path / "run")]
    asked = ["--loudness", "0.5", "--doubt", "0"]
    train(*parse([*tiny, *folder, *asked]))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["objectives"]["weights"]["loudness"] == 0.5
    assert "doubt" not in config["training"]["objectives"]["weights"]
    [record] = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert record["loudness"] > 0
    assert "doubt" not in record
    train(*parse([*tiny, *folder, *asked, "--resume"]))
    for other in ([], ["--loudness", "0.25"]):
        with pytest.raises(ValueError, match=r"training\.objectives\.weights\.loudness is 0\.5 there"):
            train(*parse([*tiny, *folder, *other, "--resume"]))


@pytest.mark.usefixtures("loudness")
def test_a_resumed_run_with_it_ends_where_an_uninterrupted_one_does(pocket_pair, tmp_path):
    settings = {"kind": "latent", "objectives": only(ce=1.0, loudness=0.5)}
    whole = make_trainer(pocket_pair, tmp_path, **settings)
    wanted = [whole.step() for _ in range(3)][2]
    first = make_trainer(pocket_pair, tmp_path, **settings)
    first.step(), first.step()
    first.save()
    second = make_trainer(pocket_pair, tmp_path, **settings)
    second.resume()
    assert second.step() == wanted
    assert same(snapshot(whole.trainable), snapshot(second.trainable))


def test_a_run_without_plug_ins_is_the_same_run_when_one_is_installed(installed):
    before = TrainConfig().record("latent_vq", VectorQuantizedConfig())
    installed("loudness", PLUGIN.format(name="loudness"))
    OBJECTIVES._begun.clear()
    assert "loudness" in OBJECTIVES.names()
    assert parse([])[2].record("latent_vq", VectorQuantizedConfig()) == before
