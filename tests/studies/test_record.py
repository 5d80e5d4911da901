"""Outcomes are kept, merged and averaged as they were."""

import json
import math
import sys

import pytest

from studies.record import (
    across_seeds,
    by_variant,
    gather_outcomes,
    read_record,
    restore_outcomes,
    update_record,
)
from studies.tasks import Task


def outcome(part="rate", variant="a", seed=0, rate=0.5):
    return {"part": part, "variant": variant, "seed": seed, "conditions": {"normal": {"rate": rate}}}


class Noted(Task):
    def perform(self, root):
        sys.stdout.write("what it prints\n")
        return outcome(rate=0.25)


def test_a_task_is_done_once_and_its_print_goes_to_its_log(tmp_path, capsys):
    task = Noted(part="rate", variant="a b", seed=3)
    first = task.run(tmp_path)
    assert (first["part"], first["variant"], first["seed"]) == ("rate", "a b", 3)
    kept = task.folder(tmp_path) / "outcome.json"
    kept.write_text(json.dumps(first | {"seed": 99}))
    assert task.run(tmp_path)["seed"] == 99, "what is there is read, not done again"
    assert capsys.readouterr().out == ""
    assert (kept.parent / "log.txt").read_text() == "what it prints\n"


def test_only_what_is_done_is_gathered(tmp_path):
    done, missing = (Noted(part="rate", variant=name, seed=0) for name in "ab")
    done.run(tmp_path)
    assert [row["variant"] for row in gather_outcomes([missing, done], tmp_path)] == ["a"]


def test_new_outcomes_replace_their_own_and_others_stay(tmp_path):
    path = tmp_path / "record.json"
    update_record(path, [outcome(seed=0), outcome(seed=1)])
    update_record(path, [outcome(seed=1, rate=0.9), outcome(variant="b")])
    rows = {(row["variant"], row["seed"]): row["conditions"]["normal"]["rate"] for row in read_record(path)}
    assert rows == {("a", 0): 0.5, ("a", 1): 0.9, ("b", 0): 0.5}


def test_what_the_record_holds_is_restored_unless_it_is_there(tmp_path):
    path, root = tmp_path / "record.json", tmp_path / "runs"
    here, there, nowhere = (Noted(part="rate", variant=name, seed=0) for name in "abc")
    here.run(root)
    update_record(path, [outcome(variant="a", rate=0.9), outcome(variant="b", rate=0.8)])
    assert restore_outcomes(path, [here, there, nowhere], root) == 1
    found = {
        row["variant"]: row["conditions"]["normal"]["rate"] for row in gather_outcomes([here, there], root)
    }
    assert found == {"a": 0.25, "b": 0.8}
    assert not nowhere.folder(root).exists()
    assert restore_outcomes(tmp_path / "none.json", [nowhere], root) == 0


def test_an_empty_record_is_refused(tmp_path):
    """Failure 19."""
    path = tmp_path / "record.json"
    update_record(path, [])
    with pytest.raises(ValueError, match=r"record\.json holds no outcome; run the study first"):
        read_record(path)


def test_the_interval_over_seeds_is_student_s():
    # t(.975, df 2) = 4.30265 (any table); sd of (.7, .8, .9) is .1
    spread = across_seeds([0.7, 0.8, 0.9])
    assert spread.mean == pytest.approx(0.8)
    assert spread.low == pytest.approx(0.8 - 4.30265 * 0.1 / 3**0.5, abs=1e-5)
    assert spread.high == 1.0, "cut to what a rate can be"
    assert spread.seeds == 3


def test_one_seed_has_no_interval_and_none_no_mean():
    alone = across_seeds([0.4])
    assert alone.mean == 0.4
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    with pytest.raises(ValueError, match="rates: at least 1 seed is needed, got 0"):
        across_seeds([])


def test_variants_keep_the_order_in_which_they_first_occur():
    rows = [outcome(variant="b"), outcome(variant="a"), outcome(variant="b", seed=1), outcome(part="other")]
    assert {name: len(found) for name, found in by_variant(rows, "rate").items()} == {"b": 2, "a": 1}
    assert list(by_variant(rows, "rate")) == ["b", "a"]
