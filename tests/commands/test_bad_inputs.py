"""What each command says of a typical mistake: one line with argument, bound and value, and the exit code."""

import importlib
import shlex
import sys
from pathlib import Path

import pytest

from parley.__main__ import COMMANDS
from parley.exit_codes import ExitCode, run_command

USAGE = [
    ("train --k 0", "k must be from 1 to 256, got 0"),
    ("train --k 2 --k 3", "--k must be given once, got '--k 2' and '--k 3'"),
    ("train --channel latent --channel=kv", "--channel must be given once, got '--channel latent' and "),
    ("train --resume --no-resume", "--resume must be given once, got '--resume' and '--no-resume'"),
    ("train --channel latnt", "unknown channel 'latnt', did you mean 'latent'? The channels are: "),
    ("train --channel text", "channel 'text' has nothing to train; these have: "),
    ("train --preset defalt", "unknown preset 'defalt', did you mean 'default'? The presets are: "),
    ("train --steps 0", "steps must be at least 1, got 0"),
    ("train --seed -1", "seed must be from 0 to 2147483647, got -1"),
    ("train --num-candidates 27", "num_candidates must be from 2 to 26, got 27"),
    ("train --world objcts", "unknown world 'objcts', did you mean 'objects'? The worlds are: "),
    ("train --game chess", "unknown game 'chess'. The games are: "),
    ("train --shots 9", "shots must be from 0 to 4, got 9"),
    ("train --device tpu", "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
    ("train --readout lable", "unknown readout 'lable', did you mean 'label'? The readouts are: "),
    ("train --ce -1", "ce must be a finite weight of at least 0, got -1.0"),
    (
        "train --reconstruction.temperature 0",
        "reconstruction.temperature must be from 0.001 to 1000.0, got 0.0",
    ),
    ("train --estimate --card abacus", "unknown card 'abacus'. The cards are: "),
    ("gate1 --episodes 1", "episodes must be from 2 to 10000000, got 1"),
    (
        "gate1 --episodes 5 --episodes 6",
        "--episodes must be given once, got '--episodes 5' and '--episodes 6'",
    ),
    ("gate1 --gate 7", "gate must be some of 1, 2, 3, got '7'"),
    ("gate1 --gate 1 --gate 7", "gate must be some of 1, 2, 3, got '1,7'"),
    ("gate1 --channels texd", "unknown channel 'texd', did you mean 'text'? The channels are: "),
    (
        "gate1 --channels text --channels txt",
        "unknown channel 'txt', did you mean 'text'? The channels are: ",
    ),
    ("gate1 --channels text --settings text", "settings must be of the form NAME.SETTING=VALUE, got 'text'"),
    ("gate1 --channels text_budget --settings text_budget.budget=0", "budget must be from 1 to 65536, got 0"),
    (
        "gate1 --channels text_budget --settings text_budget.budget=1 --settings text_budget.budget=2",
        "settings must give text_budget.budget once, got 1 and 2",
    ),
    ("gate1 --num-candidates 1", "num_candidates must be from 2 to 26, got 1"),
    ("gate1 --resample-probability nan", "resample_probability must be from 0.001 to 1, got nan"),
    ("gate1 --resume --from-episodes x", "resume must not go with from_episodes, which plays nothing, got x"),
    ("gate1 --episodes-at-once 0", "episodes_at_once must be at least 1, got 0"),
    ("gate1 --threads -1", "threads must be from 0 to 1024, got -1"),
    ("admit --readout label", "readout must not be given: admission tries all there are, got label"),
    ("admit --episodes 0", "episodes must be from 2 to 10000000, got 0"),
    ("admit --output a --output b", "--output must be given once, got '--output a' and '--output b'"),
    ("compare one", "runs must be at least 2, got 1"),
    ("compare a b --folder c --folder d", "--folder must be given once, got '--folder c' and '--folder d'"),
    ("power --true-rate 1.5", "true_rate must be above floor = 0.3 and at most 1, got 1.5"),
    ("power --true-rate .4 --power 2", "power must be between 0 and 1, got 2.0"),
    ("power --true-rate .4 --episodes 0", "episodes must be at least 1, got 0"),
    ("power --true-rate .4 --floor nan", "floor must be between 0 and 1, got nan"),
    ("channels check txt", "unknown channel 'txt', did you mean 'text'? The channels are: "),
    ("channels check text --seed -1", "seed must be from 0 to 2147483647, got -1"),
    ("channels check text --seed 1 --seed 2", "--seed must be given once, got '--seed 1' and '--seed 2'"),
]
COULD_NOT_RUN = [
    ("train --player missing.json", "player profile missing.json cannot be read: No such file or directory"),
    ("train --model no/such/model", "model 'no/such/model' was not found as a folder, nor on the hub"),
    ("gate1 --from-episodes missing.jsonl", "[Errno 2] No such file or directory: 'missing.jsonl'"),
    ("gate1 --checkpoint missing", "no checkpoint at missing"),
    ("admit --model no/such/model", "model 'no/such/model' was not found as a folder, nor on the hub"),
    ("compare missing there", "[Errno 2] No such file or directory: 'missing'"),
]
# what tyro itself refuses, with a page of its own
REFUSED = [
    ("train --steps x", "Error parsing --steps: invalid literal for int() with base 10: 'x'"),
    ("gate1 --folder", "Missing value for argument '--folder'. Expected 1 values."),
    ("gate1 --dtype float16", "invalid choice 'float16' for argument '--dtype'. Expected one of"),
    ("admit --episode 5", "Unrecognized options: --episode, 5"),
    ("compare a b --foldr c", "Unrecognized options: --foldr"),
    ("power", "Missing from parley power"),
    ("channels", "list"),
    ("channels lst", "Unrecognized options: lst"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no run is, and a traceback would be found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """A command in this process, as its module runs."""
    name, *arguments = shlex.split(line)
    module = importlib.import_module(COMMANDS[name].module)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{module.__name__}.__main__")
    monkeypatch.setattr(sys, "argv", [f"parley {name}", *arguments])
    return run_command(module.main)


@pytest.mark.parametrize(
    ("line", "words", "head", "code"),
    [(*case, "usage: ", ExitCode.USAGE) for case in USAGE]
    + [(*case, "could not run: ", ExitCode.COULD_NOT_RUN) for case in COULD_NOT_RUN],
    ids=[line for line, _ in USAGE + COULD_NOT_RUN],
)
def test_a_mistake_is_told_in_one_line(
    line: str,
    words: str,
    head: str,
    code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert run(line, monkeypatch) == code
    told = capsys.readouterr().err
    assert told.startswith(head + words)
    assert told.count("\n") == 1
    assert not list(tmp_path.glob("parley-*")), "it was foreseen"


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_cannot_be_read_is_usage(
    line: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line, monkeypatch) == ExitCode.USAGE
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert words in told


def test_every_command_s_mistakes_are_here() -> None:
    assert {line.split()[0] for line, _ in USAGE} == set(COMMANDS)
