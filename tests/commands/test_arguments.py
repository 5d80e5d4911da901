"""No flag that is given twice drops in silence what it said first."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from parley.arguments import list_flags, parse_arguments, unite, value_of
from parley.evaluation.gate1 import Gate1Config
from parley.exit_codes import Ended
from parley.training.run import parse


@dataclass(frozen=True, kw_only=True)
class Inner:
    levels: tuple[int, ...] = (8, 8)
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class Outer:
    names: Annotated[list[str] | None, tyro.conf.arg(help="some")] = None
    num_rounds: int = 1
    resume: bool = False
    inner: Inner = field(default_factory=Inner)


def read(*arguments: str) -> Outer:
    return parse_arguments(Outer, arguments, None, "outer")


def test_lists_are_found_wherever_they_are() -> None:
    assert list_flags(Outer) == {"names", "levels"}
    assert list_flags(Annotated[Outer, "one"] | Inner) == {"names", "levels"}
    assert {"channels", "checkpoint", "settings", "gate"} == list_flags(Gate1Config)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--names", "a", "b", "c"],
        ["--names", "a", "--names", "b", "--names", "c"],
        ["--names=a", "--num-rounds", "1", "--names", "b", "c"],
        ["--names", "a", "b", "--names=c"],
    ],
)
def test_the_values_of_a_list_add_up(arguments: list[str]) -> None:
    assert read(*arguments) == Outer(names=["a", "b", "c"])


def test_lists_of_settings_within_settings_add_up() -> None:
    assert read("--levels", "4", "--resume", "--levels", "5", "6").inner.levels == (4, 5, 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--num-rounds", "2", "--num-rounds", "3"],
            "must be given once, got '--num-rounds 2' and ",
        ),
        (
            ["--num-rounds", "2", "--num-rounds", "2"],
            "must be given once, got '--num-rounds 2' and ",
        ),
        (["--num-rounds=2", "--num_rounds", "3"], "got '--num-rounds=2' and '--num_rounds 3'"),
        (["--resume", "--no-resume"], "--resume must be given once, got '--resume' and '--no-resume'"),
        (
            ["--resume", "--names", "a", "--resume"],
            "must be given once, got '--resume' and '--resume'",
        ),
        (["--betas", "1", "2", "--betas", "3", "4"], "got '--betas 1 2' and '--betas 3 4'"),
    ],
)
def test_a_single_value_is_given_once(arguments: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(*arguments)


@pytest.mark.parametrize("flag", ["--num-round", "--num", "--Num-rounds"])
def test_no_flag_can_be_cut_short(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Or it could be given twice unnoticed."""
    with pytest.raises(Ended) as end:
        read(flag, "2")
    assert end.value.code == 2
    assert flag in capsys.readouterr().err


def test_what_stands_before_and_between_flags_stays_in_place() -> None:
    line = ["a", "b", "--folder", "c", "-1", "--resume"]
    assert unite(line, set()) == line


def test_a_value_is_known_before_the_other_flags() -> None:
    assert value_of("channel", ["--k", "3", "--channel", "latent"]) == "latent"
    assert value_of("channel", ["--channel=latent"]) == "latent"
    assert value_of("channel", ["--channels", "latent"]) is None
    assert value_of("channel", ["--channel"]) is None


@pytest.mark.parametrize(
    "flags",
    [
        "--channel latent --channel latent_vq",
        "--channel=latent --channel=latent",
        "--preset default --preset original",
        "--seed 1 --seed=2",
        "--steps 5 --k 2 --steps 6",
        "--reconstruction.temperature 1 --reconstruction.temperature 2",
    ],
)
def test_training_takes_no_flag_twice(flags: str) -> None:
    with pytest.raises(ValueError, match="must be given once, got '"):
        parse(flags.split())


def test_the_gate_s_lists_add_up(tmp_path: Path) -> None:
    flags = "--channels text --checkpoint a --gate 1 --channels=latent,kv --checkpoint b --gate 3"
    asked = parse_arguments(Gate1Config, flags.split(), None, "parley gate1")
    assert asked.channels == ("text", "latent,kv")
    assert asked.checkpoint == (Path("a"), Path("b"))
    assert asked.gates == (1, 3)


def test_a_plug_in_that_ends_the_process_while_its_settings_are_read_has_not_passed() -> None:
    @dataclass(frozen=True)
    class Quits:
        volume: int = 1

        def __post_init__(self) -> None:
            raise SystemExit(0)

    with pytest.raises(SystemExit) as end:
        parse_arguments(Quits, [], None, "quits")
    assert not isinstance(end.value, Ended)
