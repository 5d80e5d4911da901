"""What recorded episodes are of: planned, played, sealed or changed, as the files beside them say."""

import json

import pytest
from complete_runs import without
from recorded import perfect, run

from parley.evaluation import judge as judging
from parley.evaluation.judge import judge_file, write_run
from parley.evaluation.records import RecordWriter
from parley.evaluation.reporting.page import render_html
from parley.evaluation.reporting.report import render_report
from parley.evaluation.results import build_results

N = 400
RUN = {"play": {"episodes": N, "num_candidates": 5}, "look_every": None}
TRUSTED = "that the number of episodes was fixed beforehand, and none is left out"


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    monkeypatch.setattr(judging, "write_report", lambda *_: None)
    monkeypatch.setattr(judging, "gather_gallery", lambda *_: [])


@pytest.fixture
def folder(tmp_path):
    """A run as it stands in its folder: run.json, episodes.jsonl and results.json."""
    played = tmp_path / "run"
    played.mkdir()
    (played / "run.json").write_text(json.dumps(RUN))
    write(played, perfect(N))
    return played


def write(folder, records):
    with RecordWriter(folder / "episodes.jsonl") as writer:
        writer.write(records)


def finish(folder, **said):
    provenance = {"episodes": N, "num_candidates": 5, **said}
    results = build_results(perfect(N), provenance)
    write_run(results, folder, folder / "episodes.jsonl")
    return results


def again(folder, **options):
    return judge_file(folder / "episodes.jsonl", folder / "again", **options)


def test_the_whole_run_is_judged_as_before(folder):
    played = finish(folder)
    results = again(folder)
    assert (played["verdict"], results["verdict"]) == ("pass", "pass")
    about = results["provenance"]["episodes"]
    assert (about["planned"], about["sha256_when_played"]) == (N, about["sha256"])
    assert played["taken_on_trust"] == []
    assert TRUSTED not in results["taken_on_trust"]
    assert "that the records are as they were written" not in results["taken_on_trust"]


@pytest.mark.parametrize("count", [300, 399])
def test_the_first_of_those_planned_are_optional_stopping(folder, count):
    write(folder, perfect(count))
    results = again(folder)
    assert results["verdict"] == "inconclusive"
    assert results["sentence"].startswith(
        "Inconclusive: latent_vq would pass, but these records cannot: of the"
    )
    (note,) = [note for note in results["notes"] if "optional stopping" in note]
    assert note.startswith(f"Of the 400 episodes that were planned {count} are there")
    assert results["channels"]["latent_vq"]["gate1"]["passed"] is True
    assert again(folder, sequential=True)["verdict"] == "pass", "what holds at every n may stop anywhere"


@pytest.mark.parametrize("sequential", [False, True])
def test_a_run_that_was_cut_in_a_round_is_not_invalid(folder, sequential):
    """After Ctrl-C some conditions have a round more than others."""
    early, late = perfect(200), perfect(300)
    ahead = ("normal", "null")
    write(
        folder, [*(r for r in late if r.condition in ahead), *(r for r in early if r.condition not in ahead)]
    )
    results = again(folder, sequential=sequential)
    loaded = results["validity"]["criteria"][0]
    assert (loaded["passed"], loaded["reason"]) == (
        None,
        "The run was cut: 200 to 300 of 400 episodes a condition are there.",
    )
    assert results["verdict"] == "inconclusive"
    assert any("planned 200 to 300 are there" in note for note in results["notes"]) is not sequential


def test_other_gaps_are_invalid(folder):
    write(folder, [r for r in perfect(N) if r.condition != "null" or r.episode_id % 20])
    assert again(folder)["verdict"] == "invalid"
    write(folder, perfect(N + 5))
    assert "405 episodes were played and 400 were asked for" in again(folder)["sentence"]


def test_a_failure_stays_one(folder):
    write(folder, run(300, p0=60, normal=60, null=60, random=60, matched=60, shuffle=60, swap=60))
    assert again(folder)["verdict"] == "fail"


def test_records_that_were_changed_since_are_named(folder):
    finish(folder)
    text = (folder / "episodes.jsonl").read_text()
    (folder / "episodes.jsonl").write_text(text.replace("{", "{ "))
    results = again(folder)
    assert results["verdict"] == "inconclusive"
    assert any("their SHA-256 differs" in note for note in results["notes"])
    assert "that the records are as they were written" in results["taken_on_trust"]


def test_results_of_before_the_digest_say_nothing_of_it(folder):
    finish(folder)
    path = folder / "results.json"
    kept = json.loads(path.read_text())
    del kept["provenance"]["episodes_sha256"]
    path.write_text(json.dumps(kept))
    assert again(folder)["verdict"] == "pass"


def test_a_file_alone_is_taken_on_trust_and_says_so(tmp_path):
    write(tmp_path, perfect(N))
    results = again(tmp_path)
    assert results["verdict"] == "pass"
    assert {TRUSTED, "that nothing but the message joined sender and receiver"} <= {
        *results["taken_on_trust"]
    }
    assert TRUSTED in render_report(results)
    assert TRUSTED in render_html(results)
    bare = build_results(without(perfect(20), "choice", "target", "intended"), {"episodes": {"file": "a"}})
    assert any("what was picked and what was right" in clause for clause in bare["taken_on_trust"])


def test_what_the_run_said_of_itself_is_said_again(folder):
    finish(folder, sealed=True, seed_chosen=True, breaches={"kv": "finite: it received NaN."})
    results = again(folder)
    assert results["verdict"] == "invalid"
    assert "kv: the contract was broken, finite: it received NaN" in results["sentence"]
    assert results["sentence"].startswith("Invalid, evaluation seed chosen: ")
    assert "that nothing but the message joined sender and receiver" not in results["taken_on_trust"]


def test_another_number_of_candidates_is_a_contradiction(folder):
    (folder / "run.json").write_text(json.dumps({"play": {"episodes": N, "num_candidates": 4}}))
    with pytest.raises(
        ValueError, match="num_candidates must be 5, the number of the records' candidates, got 4"
    ):
        again(folder)


@pytest.mark.parametrize("name", ["run.json", "results.json"])
def test_a_damaged_file_beside_is_named(folder, name):
    (folder / name).write_text("{")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        again(folder)
