"""`parley`: the commands by their short names, the same code as the modules, and quick to begin."""

import importlib
import runpy
import subprocess
import sys
from importlib.metadata import version

import pytest
from clean_environment import ROOMS, ROOT

from parley.__main__ import COMMANDS, Command, main


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_it_lists_every_command_with_a_line_of_help(arguments, capsys):
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        assert [line.split(maxsplit=1) for line in lines].count([name, command.help]) == 1
    assert max(map(len, lines)) <= 80


def test_the_list_needs_neither_torch_nor_numpy():
    script = "import sys; from parley.__main__ import main; main(['--help']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    printed = done.stdout.splitlines()
    assert "runpy" in printed
    assert {"torch", "numpy", "tyro", "parley.training"}.isdisjoint(printed)


def test_every_module_of_the_rooms_that_runs_is_a_command():
    """What `python -m` can run and the list does not name would be found by nobody."""
    runs = {
        f"parley.{path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}".removesuffix(
            ".__main__"
        )
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert runs == {command.module for command in COMMANDS.values()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_help_is_by_its_short_name(name, monkeypatch, capsys):
    module = COMMANDS[name].module
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    if hasattr(importlib.import_module(module), "__path__"):
        module += ".__main__"
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(module).main()
    assert f"usage: parley {name} [-h]" in capsys.readouterr().out


def test_the_nearest_of_an_unknown_command_is_suggested(capsys):
    assert main(["trian"]) == 2
    assert (
        "unknown command 'trian', did you mean 'train'? The commands are: train, " in capsys.readouterr().err
    )


def test_the_version_is_the_distribution_s(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"parley {version('parley')}\n"


def test_a_command_gets_what_follows_its_name_and_gives_the_exit_code(tmp_path, monkeypatch, capsys):
    shown = "print(__name__, sys.argv[1:])"
    (tmp_path / "parley_ends.py").write_text(
        f"import sys\nfrom parley.exit_codes import exit_with\n{shown}\nexit_with(lambda: 4)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "ends", Command("parley_ends", "ends"))
    monkeypatch.setattr(sys, "argv", ["parley", "ends", "--version", "a b"])
    assert main() == 4
    assert capsys.readouterr().out == "__main__ ['--version', 'a b']\n"


@pytest.mark.parametrize("command", ["training.run --channel latent_vq", "evaluation.gate1 --channels all"])
def test_the_modules_run_from_the_root_by_their_folders_names(command, monkeypatch, capsys):
    """As `python -m` runs them there, word for word; not in a process of its own, which takes seconds."""
    module, *arguments = command.split()
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert "usage: parley " in capsys.readouterr().out
