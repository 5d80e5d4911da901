"""Runs side by side: paired where they share episodes, pooled with a run as the cluster."""

from pathlib import Path

import pytest
from recorded import outcomes, perfect, run
from rich.console import Console

from parley.agents.command_line import ExitCode
from parley.evaluation.aggregation.run_data import gather
from parley.evaluation.compare import CompareConfig, compare_runs, load_runs, pool_runs
from parley.evaluation.compare import run as compare
from parley.evaluation.records import RecordWriter


def written(folder: Path, records) -> Path:
    folder.mkdir(parents=True)
    with RecordWriter(folder / "episodes.jsonl") as writer:
        writer.write(records)
    return folder


def tallies(*normals, n=100):
    return [gather([*run(n, normal=normal, swap=0, p0=n // 5)]) for normal in normals]


def test_shared_episodes_are_paired():
    """Successes are nested, so 70 against 60 differ in 10 episodes, all to one side: p = 2 / 2**10."""
    channel, silence = compare_runs(tallies(60, 70))
    assert (channel.channel, channel.run, channel.first, channel.shared) == ("latent_vq", 1, 0, 100)
    assert channel.difference.estimate == pytest.approx(0.1)
    assert channel.p_value == pytest.approx(2 / 2**10)
    assert channel.corrected_p == pytest.approx(4 / 2**10), "of two hypotheses"
    assert (silence.channel, silence.p_value) == ("silence", 1.0)


def test_other_targets_are_not_paired():
    moved = [
        gather(outcomes("latent_vq", "normal", 60, 100)),
        gather(list(outcomes("latent_vq", "normal", 70, 101))[1:]),
    ]
    assert compare_runs(moved)[0].shared == 99
    unknown = [
        gather(outcomes("a", "normal", 6, 10, target=None, choice=None, intended=None)) for _ in range(2)
    ]
    (row,) = compare_runs(unknown)
    assert (row.shared, row.p_value, row.corrected_p) == (0, None, None)


def test_a_channel_is_compared_with_the_first_run_that_played_it():
    runs = [gather(outcomes("a", "normal", 5, 10)), *tallies(60, 70)]
    assert [(row.channel, row.run, row.first) for row in compare_runs(runs)] == [
        ("latent_vq", 2, 1),
        ("silence", 2, 1),
    ]


def test_runs_are_pooled_as_clusters():
    pooled = pool_runs(tallies(60, 70, 80))
    assert set(pooled) == {"latent_vq"}, "silence is no trained channel"
    assert set(pooled["latent_vq"]) == {"normal", "swap"}
    normal = pooled["latent_vq"]["normal"]
    assert (normal.rate, normal.num_clusters) == (pytest.approx(0.7), 3)
    assert normal.ci_low < 0.6 < 0.8 < normal.ci_high
    assert pool_runs(tallies(60)) == {}


def test_the_command_shows_and_writes(tmp_path, capsys):
    runs = (written(tmp_path / "a", perfect(100)), written(tmp_path / "b", run(100, p0=20, normal=70)))
    config = CompareConfig(runs=(runs[0], runs[1] / "episodes.jsonl"), folder=tmp_path / "out")
    assert compare(config, Console(width=120)) == ExitCode.PASS
    shown = capsys.readouterr().out
    page = (tmp_path / "out" / "compare.md").read_text()
    for text in ("100.0% [96.3, 100.0]", "70.0% [60.4, 78.1]", "-30.0 [-39.6, -21.1]", "100, paired"):
        assert text in page
        assert all(part in shown for part in text.split(" ", 1))
    assert "| latent_vq | swap | 0.0% [0.0, 3.7] | – |" in page


def test_two_runs_are_needed_and_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="runs must be at least 2, got 1"):
        CompareConfig(runs=(tmp_path,))
    with pytest.raises(FileNotFoundError, match=r"episodes\.jsonl"):
        load_runs([tmp_path, tmp_path])
