"""Objectives that plug-ins bring: registered, weighed by --extra, trained, logged, recorded and resumed."""

import json
import re
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
from objective_cases import make_heads, make_said, make_step
from trainer_cases import make_trainer, moved, only, same, snapshot

import parley.plugins.registry
from parley import training
from parley.agents.command_line import ExitCode, run_command
from parley.channels.latent import VectorQuantizedConfig
from parley.training import objective_plugins
from parley.training.config import TrainConfig
from parley.training.objective_plugins import BUILT_IN, LOGGED
from parley.training.objectives import (
    OF_MESSAGES,
    OF_PLAY,
    ObjectiveWeights,
    evaluate_objectives,
    register_objective,
)
from parley.training.run import parse, train
from parley.training.step import MessageBatch, PlayedBatch

PLUGIN = '''
from parley.training.objectives import register_objective


@register_objective("{name}", of="message")
def loudness(said):
    """How loud the prefix is."""
    return said.prefix.vectors.square().mean()
'''


@pytest.fixture(autouse=True)
def registry_again(monkeypatch):
    """The registry as in a fresh process, and as it was afterwards."""
    known = objective_plugins.OBJECTIVES
    known.names()
    monkeypatch.setattr(known, "_known", dict(known._known))
    monkeypatch.setattr(known, "_complete", False)
    monkeypatch.setattr(known, "_left_out", [])


@pytest.fixture
def loudness():
    """Two terms: of what was said, and of how it was played."""

    @register_objective("loudness", of="message")
    def loud(said):
        assert isinstance(said, MessageBatch)
        return said.prefix.vectors.square().mean()

    @register_objective("doubt", of="play")
    def doubt(step):
        assert isinstance(step, PlayedBatch)
        return step.nll(step.answer_states).mean()


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
    assert objective_plugins.OBJECTIVES.names() == ["loudness"]
    assert ObjectiveWeights(extra=("loudness=0.5",)).weights["loudness"] == 0.5


def test_a_new_objective_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "quietness.py").write_text(PLUGIN.format(name="quietness"))
    monkeypatch.setattr(training, "__path__", [*training.__path__, str(tmp_path)])
    try:
        assert "quietness" in objective_plugins.OBJECTIVES.names()
    finally:
        sys.modules.pop("parley.training.quietness", None)


def test_no_file_of_this_project_is_left_out():
    assert [
        plugin for plugin in objective_plugins.OBJECTIVES.left_out() if "training." in plugin.source
    ] == []


@pytest.mark.usefixtures("loudness")
def test_the_names_that_are_taken_are_those_of_other_terms_and_what_is_logged(pocket_pair, tmp_path):
    assert {*OF_MESSAGES, *OF_PLAY} == BUILT_IN
    trainer = make_trainer(pocket_pair, tmp_path, steps=2, objectives=ObjectiveWeights(extra=("doubt=1",)))
    trainer.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert set(records[-1]) == LOGGED | {"ce", "reconstruction", "quantizer", "doubt"}


@pytest.mark.parametrize("name", ["ce", "help", "loss", "validation_success"])
def test_a_name_that_means_something_else_is_refused(name):
    words = f"no objective may be named '{name}': the metrics have something else by that name"
    with pytest.raises(ValueError, match=re.escape(words)):
        register_objective(name, of="message")


def test_it_is_of_messages_or_of_play():
    with pytest.raises(ValueError, match=r"^of must be 'message' or 'play', got 'messages'$"):
        register_objective("loudness", of="messages")


@pytest.mark.usefixtures("loudness")
def test_a_name_is_given_once():
    with pytest.raises(ValueError, match=r"extra objective 'loudness' is registered already, by .*\.loud"):
        register_objective("loudness", of="message")(lambda said: said)


def test_the_function_stays_what_it_was():
    def quiet(said):
        return torch.zeros(())

    assert register_objective("quiet", of="message")(quiet) is quiet


@pytest.mark.usefixtures("loudness")
def test_an_extra_term_is_weighed_like_every_other():
    step = make_step(torch.zeros(2, 3, 4), [0, 1])
    weights = only(ce=2.0, extra=("loudness=0.5", "doubt=3"))
    total, terms = evaluate_objectives(step, make_heads([]), weights)
    assert list(terms) == ["ce", "loudness", "doubt"]
    loud = step.prefix.vectors.square().mean().item()
    assert terms["loudness"].item() == pytest.approx(loud)
    assert total.item() == pytest.approx(2 * terms["ce"].item() + 0.5 * loud + 3 * terms["ce"].item())


@pytest.mark.usefixtures("loudness")
def test_of_messages_nobody_heard_only_what_was_said_is_asked():
    said = make_said(torch.ones(2, 1, 3))
    total, terms = evaluate_objectives(said, make_heads([]), only(extra=("loudness=4", "doubt=3")))
    assert list(terms) == ["loudness"]
    assert total.item() == pytest.approx(4.0)


@pytest.mark.usefixtures("loudness")
def test_without_a_weight_it_is_not_computed():
    step = make_step(torch.zeros(2, 3, 4), [0, 1])
    _, terms = evaluate_objectives(step, make_heads([]), only(ce=1.0, extra=("loudness=0", "doubt=0")))
    assert list(terms) == ["ce"]


@pytest.mark.usefixtures("loudness")
def test_it_may_be_all_that_is_asked_for():
    assert only(extra=("loudness=1",)).aligning
    assert only(extra=("loudness=1",)).differentiable
    assert not only(extra=("doubt=1",)).aligning
    assert not only(ce=1.0, extra=("loudness=0",)).aligning
    with pytest.raises(ValueError, match="at least one objective must have a weight above 0"):
        only(extra=("loudness=0",))


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["loudness"], "extra must be NAME=WEIGHT, such as balance=0.5, got 'loudness'"),
        (["loudness=much"], "extra must be NAME=WEIGHT, such as balance=0.5, got 'loudness=much'"),
        (["loudness="], "extra must be NAME=WEIGHT, such as balance=0.5, got 'loudness='"),
        (["loudness=-1"], "loudness must be a finite weight of at least 0, got -1.0"),
        (["loudness=inf"], "loudness must be a finite weight of at least 0, got inf"),
        (["loudness=nan"], "loudness must be a finite weight of at least 0, got nan"),
        (["loudness=1", "loudness=2"], "extra names objective 'loudness' twice: loudness=1, loudness=2"),
        (["ce=1"], "extra must not name 'ce', which has a flag of its own"),
        (
            ["loudnes=1"],
            "unknown extra objective 'loudnes', did you mean 'loudness'? The extra objectives are: "
            "doubt, loudness",
        ),
        (["=1"], "unknown extra objective ''. The extra objectives are: doubt, loudness"),
    ],
)
def test_what_cannot_be_weighed_is_named(extra, words, capsys):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        ObjectiveWeights(extra=tuple(extra))
    with pytest.raises(SystemExit) as stop:
        parse([argument for given in extra for argument in ("--extra", given)])
    assert stop.value.code == ExitCode.USAGE
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_broken_plug_in_that_is_asked_for_is_an_error_with_its_cause(installed, capsys):
    installed("loudness", "import no_such_ear")
    assert run_command(lambda: len(parse(["--extra", "loudness=1"]))) == ExitCode.COULD_NOT_RUN
    shown = " ".join(capsys.readouterr().err.split())
    assert shown == (
        "could not run: extra objective 'loudness' was to come from loudnesspackage, which cannot be used: "
        "ModuleNotFoundError: No module named 'no_such_ear'"
    )


@pytest.mark.parametrize(
    ("source", "listed"),
    [(PLUGIN.format(name="loudness"), "there are: loudness)"), ("import no_such_ear", "there are: none)")],
)
def test_help_lists_what_there_is_and_goes_on_without_what_is_broken(installed, source, listed, capsys):
    installed("loudness", source)
    with pytest.raises(SystemExit) as stop:
        parse(["--help"])
    assert stop.value.code in (0, None)
    assert listed in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_nobody_looks_for_plug_ins_that_are_not_asked_for(installed):
    installed("loudness", "import no_such_ear")
    parse([])
    assert not objective_plugins.OBJECTIVES._complete


@pytest.mark.parametrize(
    ("value", "got"),
    [(torch.ones(3), r"shape \(3,\)"), (0.5, "float"), (torch.ones(1, 1), r"shape \(1, 1\)")],
)
def test_what_is_no_number_is_refused(value, got):
    register_objective("vague", of="message")(lambda said: value)
    with pytest.raises(
        ValueError, match=f"^objective 'vague' must return a tensor of no dimension, got {got}$"
    ):
        evaluate_objectives(make_said(torch.ones(2, 1, 3)), make_heads([]), only(extra=("vague=1",)))


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize("name", ["loudness", "doubt"])
def test_it_teaches_the_codec_and_is_logged_by_its_name(pocket_pair, tmp_path, name):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", objectives=only(extra=(f"{name}=1",)))
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
    asked = ["--extra", "loudness=0.5", "--extra", "doubt=0"]
    train(*parse([*tiny, *folder, *asked]))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["objectives"]["extra"] == ["loudness=0.5", "doubt=0"]
    [record] = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert record["loudness"] > 0
    assert "doubt" not in record
    train(*parse([*tiny, *folder, *asked, "--resume"]))
    for other in ([], ["--extra", "loudness=0.25"], asked[:2]):
        with pytest.raises(
            ValueError, match=r"training\.objectives\.extra is \['loudness=0\.5', 'doubt=0'\] there"
        ):
            train(*parse([*tiny, *folder, *other, "--resume"]))


@pytest.mark.usefixtures("loudness")
def test_a_resumed_run_with_it_ends_where_an_uninterrupted_one_does(pocket_pair, tmp_path):
    settings = {"kind": "latent", "objectives": only(ce=1.0, extra=("loudness=0.5",))}
    whole = make_trainer(pocket_pair, tmp_path, **settings)
    wanted = [whole.step() for _ in range(3)][2]
    first = make_trainer(pocket_pair, tmp_path, **settings)
    first.step(), first.step()
    first.save()
    second = make_trainer(pocket_pair, tmp_path, **settings)
    second.resume()
    assert second.step() == wanted
    assert same(snapshot(whole.trainable), snapshot(second.trainable))


def test_a_run_without_plug_ins_is_recorded_as_such():
    record = TrainConfig().record("latent_vq", VectorQuantizedConfig())
    assert record["training"]["objectives"]["extra"] == []
