"""`python -m channels`: which channels there are, what they cost, and whether one keeps its promises."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from gymnasium.spaces import Discrete

import parley.plugins.registry
from parley import channels
from parley.channels import registry
from parley.channels.__main__ import bits_formula_of, default_bits, main
from parley.channels.base import Channel, ChannelConfig, ModelInterface
from parley.channels.promises import PROMISES
from parley.channels.testing import ContractReport
from parley.channels.text import SilenceChannel, TextChannel
from parley.exit_codes import ExitCode

LOUD = '''
from parley.channels import register
from parley.channels.text import TextChannel


@register("loud")
class LoudChannel(TextChannel):
    """Words, in capitals.

    More of them.
    """

    bits_formula = "{bits_formula}"

    def message_bits(self, message):
        return {bits}
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The source of the channels `loud` and `hoarse` of two installed packages; the second is broken."""
    known = registry.CHANNELS
    known.names()
    monkeypatch.setattr(known, "_known", dict(known._known))
    monkeypatch.setattr(known, "_left_out", [])
    monkeypatch.setattr(known, "_begun", set())
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, f"{name}package", "parley.channels") for name in ("loud", "hoarse")]
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: points if group == "parley.channels" else []
    )
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "hoarsepackage.py").write_text("import no_such_voice")
    source = tmp_path / "loudpackage.py"
    source.write_text(LOUD.format(bits_formula="8 a character", bits="8.0 * (len(message) + 1)"))
    yield source
    for name in ("loudpackage", "hoarsepackage"):
        sys.modules.pop(name, None)


def table(shown: str) -> dict[str, list[str]]:
    """The cells of the rows, by name; what was wrapped is put together again."""
    rows: list[list[str]] = []
    for line in shown.splitlines():
        cells = re.split(r"  +", line.strip())
        if line.startswith("      ") and rows:
            rows[-1][-1] += " " + cells[0]
        elif len(cells) == 5:
            rows.append(cells)
    return {row[0]: row[1:] for row in rows}


def test_every_channel_is_listed_with_its_price(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr()
    rows = table(shown.out)
    assert rows.pop("name") == ["modality", "bits", "trainable", "what it is"]
    assert list(rows) == registry.channel_names()
    assert rows["latent"] == [
        "vectors", "32 k C = 2,048", "yes", "k vectors of C numbers in [-1, 1], charged 32 bits a number."
    ]  # fmt: skip
    assert rows["latent_vq"] == ["codes", "k log2 K = 24", "yes", "k codes of learned codebooks."]
    assert rows["latent_fsq"][:3] == ["codes", "k log2 K = 24", "yes"]
    assert rows["symbols"][:3] == ["codes", "k log2 K = 24", "yes"]
    assert rows["text"][:3] == ["text", "8 a character + 8", "no"]
    assert rows["silence"][:3] == ["none", "0", "no"]
    assert rows["loud"] == ["text", "8 a character", "no", "Words, in capitals."]


def test_what_is_left_out_stands_below_the_table_with_its_cause(
    installed: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["list"]) == 0
    shown = capfd.readouterr()
    assert shown.out.splitlines()[-1] == (
        "left out: plug-in 'hoarse' (hoarsepackage), which cannot be used: "
        "ModuleNotFoundError: No module named 'no_such_voice'"
    )
    assert shown.err == ""
    assert caplog.messages == [], "it is said once"


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal(
    installed: Path, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["list"])
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("left out")]
    assert max(map(len, lines)) <= int(columns)
    assert "…" not in "".join(lines)


class Sparse(SilenceChannel):
    """Bits that depend on nothing."""

    bits_formula = "log2 3"

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Discrete(3)

    def message_bits(self, message: int) -> float:
        return 1.584962500721156


class AsWide(Sparse):
    bits_formula = "E"

    def message_bits(self, message: int) -> float:
        return float(self.interface.embedding_width)


class AsDeep(Sparse):
    bits_formula = "D"

    def message_bits(self, message: int) -> float:
        return float(self.interface.state_width)


class Unequal(Sparse):
    bits_formula = "1 or 8"

    def message_bits(self, message: int) -> float:
        return 8.0 if message else 1.0


class NeedsModels(Sparse):
    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        raise RuntimeError("this channel needs both models")


class Unpriced(Sparse):
    bits_formula = ""


@pytest.mark.parametrize(
    ("kind", "bits_formula"),
    [
        (Sparse, "log2 3 = 1.6"),
        (AsWide, "E"),
        (AsDeep, "D"),
        (Unequal, "1 or 8"),
        (NeedsModels, "log2 3"),
        (Unpriced, "see message_bits = 1.6"),
        (SilenceChannel, "0"),
        (TextChannel, "8 a character + 8"),
    ],
)
def test_a_number_stands_where_default_settings_alone_decide_it(
    kind: type[Channel], bits_formula: str
) -> None:
    assert bits_formula_of(kind) == bits_formula


def test_thousands_are_divided() -> None:
    kind = type("Long", (Sparse,), {"message_bits": lambda self, message: 16384.0})
    assert default_bits(kind) == "16,384"


def test_a_channel_that_says_nothing_of_itself_is_listed_all_the_same() -> None:
    assert Channel.modality == "vectors"
    assert Channel.bits_formula == ""


def test_every_channel_says_what_crosses_and_at_what_price() -> None:
    kinds = [registry.channel_class(name) for name in registry.channel_names()]
    assert [kind.name for kind in kinds if not kind.bits_formula] == []
    assert {kind.modality for kind in kinds} <= {"text", "codes", "vectors", "none", "states", "cache"}


def test_a_channel_that_keeps_its_promises(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "loud", "--seed", "1"]) == 0
    verdict, checked = capsys.readouterr().out.splitlines()
    assert verdict == "loud keeps every promise"
    assert checked == f"checked: can_be_made, {', '.join(PROMISES)}"


def test_the_first_broken_promise_is_named(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed.write_text(LOUD.format(bits_formula="nothing", bits="[-1.0][0]"))
    assert main(["check", "loud"]) == 5, "1 is the gate's verdict alone"
    assert capsys.readouterr().out == (
        "loud breaks a promise, bits_are_honest: "
        "a message costs -1.0 bits; bits are finite and not negative\n"
    )


def test_the_seed_reaches_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    nothing = ContractReport(checked=("finite",), unchecked={})
    check = lambda kind, seed: seeds.append(seed) or nothing  # noqa: E731
    monkeypatch.setattr("parley.channels.__main__.check_channel", check)
    main(["check", "text", "--seed", "7"])
    main(["check", "text"])
    assert seeds == [7, 0]


def test_what_a_channel_raises_itself_breaks_a_promise_and_is_shown_with_its_place(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.write_text(LOUD.format(bits_formula="", bits="int('bits')"))
    assert main(["check", "loud"]) == ExitCode.INVALID
    shown = capsys.readouterr()
    assert shown.out.startswith(
        "loud breaks a promise, bits_are_honest: ValueError: invalid literal for int()"
    )
    assert "Traceback" in shown.err
    assert "int('bits')" in shown.err


def test_what_was_not_checked_is_said_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unchecked = {"relay_equals_wire": "it needs models", "finite": "it needs models"}
    report = ContractReport(checked=("one_message_each",), unchecked=unchecked)
    monkeypatch.setattr("parley.channels.__main__.check_channel", lambda kind, seed: report)
    assert main(["check", "text"]) == 0
    assert capsys.readouterr().out == (
        "text keeps every promise that was checked\nchecked: one_message_each\n"
        "not checked: relay_equals_wire, finite: it needs models\n"
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("lowd", 2, "usage: unknown channel 'lowd', did you mean 'loud'? The channels are: "),
        (
            "hoarse",
            3,
            "could not run: channel 'hoarse' was to come from hoarsepackage, which cannot be used: "
            "ModuleNotFoundError: No module named 'no_such_voice'\n",
        ),
        (
            "kv",
            3,
            "could not run: no promise of kv could be checked: this channel runs the models themselves: ",
        ),
    ],
)
def test_what_cannot_be_checked_is_said_without_a_traceback(
    installed: Path, name: str, code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", name]) == code
    shown = capfd.readouterr()
    assert shown.err.startswith(words)
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [[], ["lst"], ["check"]])
def test_a_command_must_be_named(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_the_command_line_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["channels", "check", "text"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("text keeps every promise\n")


def test_register_is_at_hand_without_torch() -> None:
    asked = (
        "import sys; from parley import channels; print('torch' in sys.modules, hasattr(channels, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert channels.register is registry.register
    with pytest.raises(AttributeError, match=r"module 'parley\.channels' has no attribute 'registre'"):
        _ = channels.registre  # type: ignore[attr-defined]


def test_no_channel_is_named_all() -> None:
    with pytest.raises(ValueError, match=r"^no channel may be named 'all': on the command line it stands"):
        registry.register("all")


def test_no_file_of_this_folder_is_left_out() -> None:
    assert [plugin for plugin in registry.left_out() if plugin.source.startswith("parley.channels.")] == []
