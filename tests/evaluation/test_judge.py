"""A file of episodes in, a run folder out."""

import hashlib
import json
import tracemalloc

import pytest
from recorded import attempt_02, perfect

from parley.agents.command_line import ExitCode
from parley.evaluation import judge as judging
from parley.evaluation.gates.verdict import EXIT_CODES
from parley.evaluation.judge import judge_file, versions, write_run
from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.results import build_results


def recorded(path, records):
    with RecordWriter(path) as writer:
        writer.write(records)
    return path


def test_exit_codes():
    assert EXIT_CODES == {"pass": 0, "fail": 1, "inconclusive": 4, "invalid": 5, "unfit": 4}
    named = {verdict: code for verdict, code in EXIT_CODES.items() if verdict != "unfit"}
    assert {verdict: ExitCode[verdict.upper()] for verdict in named} == named


def test_a_file_is_judged_as_its_records_are(tmp_path):
    path = recorded(tmp_path / "my episodes.jsonl", attempt_02())
    results = judge_file(path, tmp_path / "run", {"seeds": {"training": 3}})
    assert results["provenance"]["seeds"] == {"training": 3}
    assert results["provenance"]["episodes"] == {
        "file": "my episodes.jsonl",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "planned": None,
        "sha256_when_played": None,
    }
    assert results["provenance"]["command"].endswith(f"--from-episodes '{path}'")
    direct = build_results(attempt_02(), results["provenance"])
    assert results == direct
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == direct


def test_a_run_is_written_whole_and_results_last(tmp_path, monkeypatch):
    def fail(results, folder, gallery, pictures):
        raise OSError("no room for a report")

    results = build_results(perfect(100), {})
    write_run(results, tmp_path / "a" / "b")
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == [
        "junit.xml",
        "report.html",
        "report.md",
        "results.json",
        "success.png",
    ]
    monkeypatch.setattr(judging, "write_report", fail)
    with pytest.raises(OSError, match="no room"):
        write_run(results, tmp_path / "c")
    assert not (tmp_path / "c" / "results.json").exists(), "what has it is finished"


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    write_run(build_results(perfect(100), {}), tmp_path)
    before = (tmp_path / "results.json").read_bytes()

    def interrupt(source, place):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_run(build_results(attempt_02(), {}), tmp_path)
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_malformed_file_writes_nothing(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text('{"channel": "a"}\n')
    with pytest.raises(ValueError, match="line 1: missing condition, episode_id, success"):
        judge_file(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_a_file_raises(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"):
        write_run(build_results(perfect(100), {}), tmp_path / "run")


def test_versions_name_what_is_not_installed():
    found = versions("scipy", "no-such-distribution")
    assert found["scipy"].count(".") >= 1
    assert found["no-such-distribution"] == "not installed"
    assert "python" in found


def test_memory_stays_small_however_many_records(tmp_path):
    def records():
        for episode_id in range(2_000):
            yield EpisodeRecord(
                channel="a",
                condition="normal",
                episode_id=episode_id,
                success=True,
                message="x" * (5_000 + episode_id),
                probabilities=[0.2] * 5,
            )

    tracemalloc.start()
    build_results(records(), {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_stream_is_read_once():
    assert build_results(iter(perfect(100)), {}) == build_results(perfect(100), {})
