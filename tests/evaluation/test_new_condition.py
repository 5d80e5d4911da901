"""A condition is one file: one that is put there is played, recorded and reported with no other edit."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from parley.channels import conditions as folder
from parley.channels.conditions import condition_names
from parley.channels.conditions.base import CONDITIONS
from parley.evaluation.judge import judge_file
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import PlayConfig, make_plan, play
from parley.evaluation.records import RecordWriter, read_records
from parley.evaluation.reporting.terminal import print_table

SOURCE = '''
from parley.channels.conditions.base import Condition, Told, register


@register("following")
class Following(Condition):
    """The message of the episode that follows."""

    delivers = "the following episode's message"

    def told(self, row, draws):
        following = (row + 1) % len(draws.targets)
        return Told(following, int(draws.targets[following]))
'''


@pytest.fixture
def following(tmp_path, monkeypatch):
    """The file in a folder that belongs to the package for as long as a test runs."""
    (tmp_path / "following.py").write_text(SOURCE)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    monkeypatch.setattr(CONDITIONS, "_begun", set())
    monkeypatch.setattr(CONDITIONS, "_known", dict(CONDITIONS._known))
    yield "following"
    monkeypatch.undo()


def test_a_file_is_enough(following, pocket_pair, tmp_path):
    assert condition_names()[-1] == following
    config = PlayConfig(episodes=6)
    plan = make_plan(pocket_pair.world, config)
    entries = {name: enter(name, pocket_pair, None) for name in ("silence", "text", "text_budget")}
    path = tmp_path / "episodes.jsonl"
    with RecordWriter(path) as writer:
        for batch in play(pocket_pair, entries, config):
            writer.write(batch)
    messages = {(r.condition, r.episode_id): r.message for r in read_records(path) if r.channel == "text"}
    assert all(messages[following, row] == messages["normal", (row + 1) % 6] for row in range(6))
    assert plan.targets.shape == (6,)

    results = judge_file(path, tmp_path)
    assert results["conditions"][following] == "the following episode's message"
    for channel in ("text", "text_budget"):
        assert results["channels"][channel]["conditions"][following]["n"] == 6
        assert following in results["channels"][channel]["differences"]
        assert following in results["diagnostics"][channel]["nll"]
    assert not any(following in item["name"] for item in results["channels"]["text"]["gate1"]["criteria"])
    shown = io.StringIO()
    print_table(results, Console(file=shown, width=100))
    pages = [(tmp_path / name).read_text() for name in ("report.md", "report.html")]
    assert all(following in page for page in [*pages, shown.getvalue()])
    assert Path(tmp_path / "success.png").stat().st_size > 0


def test_without_it_nothing_is_left_of_it():
    assert "following" not in condition_names()
