"""The power command: its sentences, its table, and what it refuses."""

import sys

import pytest

from parley.agents.command_line import ExitCode, parse_arguments, run_command
from parley.evaluation import power
from parley.evaluation.statistics import gate_power


def ask(*arguments):
    return run_command(lambda: power.run(parse_arguments(power.PowerConfig, arguments, None, "parley power")))


def rows(shown):
    """The table: episodes, least successes and chance."""
    cells = [line.split() for line in shown.splitlines()]
    return {row[0]: tuple(row[1:]) for row in cells if len(row) == 3 and row[2].endswith("%")}


def test_the_number_needed_comes_first(capsys):
    assert ask("--true-rate", ".4", "--power", ".95") == ExitCode.PASS
    shown = capsys.readouterr().out
    first, second = shown.splitlines()[:2]
    assert first == (
        "294 episodes: with at least as many, a channel whose true success is 0.4 reaches the floor of 0.3 "
        "with a chance of at least 0.95. With 294 episodes it must succeed in at least 104."
    )
    assert second == (
        "The smallest number with that chance is 286, but some number between falls short of it: one more "
        "episode can ask for one more success."
    )
    assert rows(shown) == {
        "50": ("22", "33.0%"),
        "100": ("39", "61.8%"),
        "200": ("73", "86.1%"),
        "294": ("104", "95.4%"),
        "400": ("138", "99.0%"),
        "800": ("266", "100.0%"),
    }


def test_it_says_that_controls_must_be_shown_at_chance_too(capsys):
    ask("--true-rate", ".5", "--episodes", "400")
    assert capsys.readouterr().out.endswith(
        "Gate 1 also asks that silence and 4 controls be shown at chance, all of them. With 5 candidates and "
        "400 episodes a sound run shows it with a chance of at least 96.6%.\n"
    )
    ask("--true-rate", ".5", "--episodes", "1950", "--num-candidates", "26")
    assert capsys.readouterr().out.endswith(
        "26 candidates and 1950 episodes a sound run shows it with a chance of at least 95.0%.\n"
    )


def test_a_power_of_95_percent_is_what_is_asked_for(capsys):
    ask("--true-rate", ".4")
    unsaid = capsys.readouterr().out
    ask("--true-rate", ".4", "--power", ".95")
    assert capsys.readouterr().out == unsaid


def test_another_power(capsys):
    ask("--true-rate", ".4", "--power", ".8")
    shown = capsys.readouterr().out
    assert shown.startswith("181 episodes: ")
    assert "a chance of at least 0.8." in shown
    assert "smallest number with that chance is 170" in shown


def test_another_floor(capsys):
    ask("--true-rate", ".4", "--floor", ".2")
    shown = capsys.readouterr().out
    assert "reaches the floor of 0.2" in shown
    assert rows(shown)["50"] == ("16", f"{100 * gate_power(0.4, 50, 0.2):.1f}%")


def test_another_confidence(capsys):
    ask("--true-rate", ".4", "--confidence", ".99")
    assert rows(capsys.readouterr().out)["50"] == ("24", f"{100 * gate_power(0.4, 50, 0.3, 0.99):.1f}%")


def test_a_single_meaning_needs_no_second_sentence(capsys):
    ask("--true-rate", "1", "--power", ".5")
    shown = capsys.readouterr().out
    assert shown.startswith("2 episodes: ")
    assert "smallest number" not in shown


def test_the_power_of_a_given_number(capsys):
    assert ask("--true-rate", ".4", "--episodes", "60") == ExitCode.PASS
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == (
        f"60 episodes: a channel whose true success is 0.4 reaches the floor of 0.3 with a chance of "
        f"{100 * gate_power(0.4, 60):.1f}%; it must succeed in at least 25."
    )
    assert list(rows(shown)) == ["50", "60", "100", "200", "400", "800"]


def test_a_rate_at_the_floor_has_a_chance_to_pass_in_error(capsys):
    assert ask("--true-rate", ".3", "--episodes", "400") == ExitCode.PASS
    assert "with a chance of 2.9%" in capsys.readouterr().out


def test_too_few_episodes_for_any_success(capsys):
    ask("--true-rate", ".9", "--episodes", "1")
    shown = capsys.readouterr().out
    assert shown.startswith("1 episode: ")
    assert "no number of successes is enough" in shown
    assert rows(shown)["1"] == ("none", "0.0%")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--true-rate", ".3"],
            "true_rate must be above floor = 0.3 and at most 1, got 0.3: a rate that",
        ),
        (["--true-rate", "1.4"], "true_rate must be above floor = 0.3 and at most 1, got 1.4"),
        (["--true-rate", "1.4", "--episodes", "50"], "true_rate must be from 0 to 1, got 1.4"),
        (["--true-rate", ".4", "--power", "95"], "power must be between 0 and 1, got 95"),
        (["--true-rate", ".4", "--floor", "0"], "floor must be between 0 and 1, got 0"),
        (["--true-rate", ".4", "--confidence", "95"], "confidence must be between 0 and 1, got 95"),
        (["--true-rate", ".4", "--episodes", "0"], "episodes must be at least 1, got 0"),
        (["--true-rate", ".3001"], "power must be within reach of most = 100000 episodes"),
    ],
)
def test_bad_values_are_refused_in_a_line(arguments, words, capsys):
    assert ask(*arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.err.startswith(f"usage: {words}")
    assert "Traceback" not in shown.err


def test_power_and_episodes_exclude_each_other():
    with pytest.raises(ValueError, match=r"power must not be given with episodes.*got 0\.9 and 50"):
        power.PowerConfig(true_rate=0.4, power=0.9, episodes=50)


def test_the_entry_point_reads_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluation.power", "--true-rate", ".4"])
    assert run_command(power.main) == ExitCode.PASS
    assert capsys.readouterr().out.startswith("294 episodes: ")
    monkeypatch.setattr(sys, "argv", ["evaluation.power", "--true-rate", ".3"])
    assert run_command(power.main) == ExitCode.USAGE
    assert "passes only by luck, with any number of episodes" in capsys.readouterr().err
