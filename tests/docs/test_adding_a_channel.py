"""docs/adding_a_channel.md: all its code and commands are run, in the page's order, on the pocket."""

import doctest
import importlib
import json
import shlex
import sys

import pytest
from page_blocks import PACKAGE, PAGE, blocks, channel_source, commands, objective_source

from parley import channels
from parley.__main__ import COMMANDS
from parley.agents.command_line import ExitCode, run_command
from parley.channels import registry
from parley.evaluation.playing.entries import chosen_channels
from parley.training import objectives
from parley.training.objective import OBJECTIVES

FEWER = {
    "channels": [],
    "train": [
        "--steps", "4", "--alignment-steps", "2", "--alignment-batch", "9", "--batch-size", "2",
        "--messages-per-context", "2", "--validation-episodes", "4", "--device", "cpu",
    ],
    "gate1": ["--episodes", "10", "--device", "cpu"],
}  # fmt: skip


def module_of(name):
    """The module of a command, as something to call."""
    module = importlib.import_module(COMMANDS[name].module)
    return importlib.import_module(f"{module.__name__}.__main__") if hasattr(module, "__path__") else module


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Someone who has written the page's two files, each into its folder."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("reader")
    files = {channels: ("binary", channel_source()), objectives: ("balance", objective_source())}
    registries = (registry.CHANNELS, OBJECTIVES)
    for known in registries:
        known.names()
        patch.setattr(known, "_known", dict(known._known))
        patch.setattr(known, "_left_out", [])
        patch.setattr(known, "_begun", set())
    for package, (module, source) in files.items():
        room = folder / package.__name__.removeprefix("parley.").replace(".", "/")
        room.mkdir(parents=True)
        (room / f"{module}.py").write_text(source)
        patch.setattr(package, "__path__", [*package.__path__, str(room)])
    patch.chdir(folder)
    patch.setenv("COLUMNS", "120")
    patch.setattr("parley.evaluation.diagnostics.diagnose.MOST_REFERENTS", 40)
    patch.setattr("parley.evaluation.diagnostics.flops.COUNTED_EPISODES", 1)
    yield folder
    patch.undo()
    for package, (module, _) in files.items():
        sys.modules.pop(f"{package.__name__}.{module}", None)
        vars(package).pop(module, None)


def test_the_file_is_of_fewer_than_60_lines_and_the_page_says_of_how_many():
    lines = len(channel_source().splitlines())
    assert lines < 60
    assert f"one file of {lines} lines" in PAGE.read_text()


def test_the_page_s_files_are_those_of_the_package():
    assert channel_source() == (PACKAGE / "src/parley_channel_binary/binary.py").read_text()
    assert objective_source() == (PACKAGE / "src/parley_channel_binary/balance.py").read_text()
    assert blocks("toml") == [(PACKAGE / "pyproject.toml").read_text()]


def test_what_the_page_shows_of_the_package_is_there():
    [tree] = [block for block in blocks("") if "pyproject.toml" in block]
    shown = {line.split()[0] for line in tree.splitlines()[1:]}
    sources = ("*.toml", "*.md", "src/*/*.py", "tests/*.py")
    assert shown == {path.relative_to(PACKAGE).as_posix() for kind in sources for path in PACKAGE.glob(kind)}


@pytest.mark.usefixtures("reader")
def test_its_examples_print_what_the_page_says():
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    names = {}
    examples = [block for block in blocks("python") if block.startswith(">>>")]
    for number, source in enumerate(examples, start=1):
        test = doctest.DocTestParser().get_doctest(source, names, f"example {number}", str(PAGE), 0)
        runner.run(test, clear_globs=False)
        names = test.globs  # the second goes on where the first ended
    assert runner.summarize() == (0, 9)


@pytest.mark.usefixtures("pocket_loaded_once")
def test_its_commands_do_what_the_page_says(reader, monkeypatch, capsys):
    """Listed, checked, trained and judged; with the objective it is trained again."""
    shown = []
    for line in commands():
        program, name, *arguments = shlex.split(line)
        if (program, name) == ("python", "-m"):
            continue  # tests/docs/test_example_package.py installs it
        assert program == "parley"
        monkeypatch.setattr(sys, "argv", [name, *arguments, *FEWER[name]])
        code = run_command(module_of(name).main)
        verdicts = {ExitCode.FAIL, ExitCode.INCONCLUSIVE} if name == "gate1" else {ExitCode.PASS}
        assert code in verdicts, line
        shown.append(capsys.readouterr().out)
    listed, checked, _, judged, _ = shown
    assert "k b = 24" in next(line for line in listed.splitlines() if line.startswith(" binary"))
    assert checked.startswith("binary keeps every promise\nchecked: ")
    assert "binary" in judged
    results = json.loads((reader / "runs/binary-seed0/gate1/results.json").read_text())
    assert results["channels"]["binary"]["role"] == "judged"
    assert results["channels"]["binary"]["bits"] == 24.0
    assert (reader / "runs/binary-seed0/gate1/report.html").exists()
    config = json.loads((reader / "runs/binary-balanced/config.json").read_text())
    assert config["training"]["objectives"]["weights"]["balance"] == 0.1
    metrics = (reader / "runs/binary-balanced/metrics.jsonl").read_text().splitlines()
    assert 0 <= json.loads(metrics[-1])["balance"] <= 1


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("name", "arguments", "listed"),
    [
        ("train", ["--channel", "binary"], "one of binary, "),
        ("train", ["--channel", "binary"], "--bits-per-slot INT b; a message costs k * b bits"),
        ("train", [], "--balance FLOAT Bits must be 1 half of the time. (default: 0.0)"),
        ("gate1", [], "binary, "),
    ],
)
def test_it_is_listed_in_help(name, arguments, listed, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *arguments, "--help"])
    with pytest.raises(SystemExit):
        module_of(name).main()
    assert listed in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.usefixtures("reader")
def test_it_is_one_of_all():
    assert "binary" in chosen_channels(["all"])
