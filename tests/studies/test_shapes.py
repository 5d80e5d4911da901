"""Random models in published shapes: what they are, what they cost, and the page that says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.receiver import Receiver
from parley.agents.shapes import SHAPES, Shape, find_shape, random_lm
from parley.channels.base import Prefix
from studies import shapes
from studies.shape_costs import Cell
from studies.shapes import ShapesConfig, add_rows, write_page

CPU = torch.device("cpu")
DOCS = Path(__file__).parents[2] / "docs/results"
SMALL = Shape(
    repository="nobody/small", width=256, mlp_width=1024, num_layers=3, num_heads=8, num_key_value_heads=2,
    head_width=32, vocab_size=700, max_length=512, tied=False,
)  # fmt: skip
TINY = replace(SMALL, width=32, mlp_width=48, num_layers=1, num_heads=2, num_key_value_heads=1, head_width=16)
CELL = Cell(shape="tiny", batch=2, messages=3, steps=2, episodes=4, values=3, device="cpu", threads=1)

# total and without embeddings, in billions, as the model cards of the repositories say, with their digits
PUBLISHED = {
    "qwen2.5-0.5b": ("0.49", "0.36"), "qwen2.5-1.5b": ("1.54", "1.31"), "qwen2.5-3b": ("3.09", "2.77"),
    "qwen2.5-7b": ("7.61", "6.53"), "qwen3-0.6b": ("0.6", "0.44"), "qwen3-1.7b": ("1.7", "1.4"),
    "qwen3-4b": ("4.0", "3.6"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shapes of nobody's; the sender says little."""
    monkeypatch.setitem(SHAPES, "small", SMALL)
    monkeypatch.setitem(SHAPES, "tiny", TINY)
    monkeypatch.setattr("parley.agents.sender.MAX_DESCRIPTION_TOKENS", 2)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shapes_have_the_published_numbers_of_parameters(name: str) -> None:
    shape = find_shape(name)
    embeddings = shape.vocab_size * shape.width * (1 if shape.tied else 2)
    for left_out, said in zip((0, embeddings), PUBLISHED[name], strict=True):
        last_digit = 10.0 ** -len(said.partition(".")[2])
        assert (shape.num_parameters - left_out) / 1e9 == pytest.approx(float(said), abs=last_digit)


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown shape 'qwen2\.5-0\.6b', did you mean 'qwen2\.5-0\.5b'\?"):
        find_shape("qwen2.5-0.6b")
    with pytest.raises(ValueError, match="unknown shape 'huge'"):
        ShapesConfig(shape=("huge",))


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_a_random_model_plays_and_has_the_whole_embedding_table(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "tiny", replace(TINY, family=family, vocab_size=2000))
    lm = random_lm("tiny", device=CPU, dtype=torch.bfloat16)
    assert (lm.dtype, lm.embedding_table.shape) == (torch.bfloat16, (2000, 32))
    assert len(lm.tokenizer) < 2000
    assert lm.model.config.model_type == family
    assert not any(weight.requires_grad for weight in lm.model.parameters())
    logits = Receiver(lm).choose_uncached([["red cube", "blue ball"]], Prefix(torch.randn(1, 4, 32)))
    assert logits.isfinite().all()
    again, other = (random_lm("tiny", device=CPU, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    assert torch.equal(again.embedding_table, lm.embedding_table)
    assert again.fingerprint == lm.fingerprint != other.fingerprint
    assert not torch.equal(other.embedding_table, lm.embedding_table)


def test_making_a_random_model_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    random_lm("tiny", device=CPU, dtype=torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_in_memory_is_held_to_what_a_loaded_one_is(lm: FrozenLM) -> None:
    few = random_lm("tiny", device=CPU, dtype=torch.float32)
    few.model.resize_token_embeddings(8)
    with pytest.raises(ModelError, match="model 'few' has 8 token embeddings, fewer than the"):
        FrozenLM.of(few.model, few.tokenizer, name="few", fingerprint="")
    few.tokenizer.chat_template = None
    few.model.resize_token_embeddings(len(few.tokenizer))
    with pytest.raises(ModelError, match="model 'few' has no chat template"):
        FrozenLM.of(few.model, few.tokenizer, name="few", fingerprint="")


def test_a_cell_trains_plays_and_is_judged() -> None:
    row = json.loads(json.dumps(CELL.run()))
    assert (row["shape"], row["batch"], row["precision"], row["out_of_memory"]) == (
        "tiny",
        2,
        "float32",
        False,
    )
    assert row["parameters"] * 4 == row["weights_bytes"] == TINY.num_parameters * 4
    assert len(row["losses"]) == 3, "one step of alignment, two of play"
    assert 1 << 27 < row["training_peak_bytes"] <= row["playing_peak_bytes"]
    assert row["referents"] == 49
    assert row["tokens"] == {"before_slot": 53, "slot": 4, "after_slot": 5, "rows": 6}
    assert set(row["seconds"]["episode"]) == {"silence", "text", "latent_vq"}
    assert all(second > 0 for second in row["seconds"]["episode"].values())
    assert row["verdict"] in ("fail", "inconclusive", "invalid")


def test_a_cell_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("studies.shape_costs.random_lm", too_large)
    row = CELL.run()
    assert row["out_of_memory"]
    assert row["device_name"].startswith("CPU")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 1}, "steps must be at least 2, got 1"),
        ({"values": 2}, "values must be at least 3, got 2"),
        ({"batch": (0,)}, "batch must be at least 1, got 0"),
        ({"messages": 6}, "messages must be from 1 to 5, got 6"),
        ({"episodes": 1}, "episodes must be at least 2, got 1"),
    ],
)
def test_a_bad_setting_is_refused_before_anything_is_made(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShapesConfig(**setting)  # type: ignore[arg-type]


def test_every_shape_is_measured_with_every_batch() -> None:
    config = ShapesConfig(shape=("qwen2.5-0.5b", "qwen3-0.6b"), batch=(16, 8))
    assert [(cell.shape, cell.batch) for cell in config.cells] == [
        ("qwen2.5-0.5b", 8), ("qwen2.5-0.5b", 16), ("qwen3-0.6b", 8), ("qwen3-0.6b", 16),
    ]  # fmt: skip


def known_rows() -> list[dict[str, object]]:
    return json.loads((DOCS / "shapes.json").read_text())  # type: ignore[no-any-return]


def test_a_later_measurement_replaces_the_same_one_and_no_other(tmp_path: Path) -> None:
    row = known_rows()[0]
    path = tmp_path / "shapes.json"
    add_rows(path, [row, row | {"batch": 64}])
    rows = add_rows(path, [row | {"verdict": "inconclusive"}])
    assert [(each["batch"], each["verdict"]) for each in rows] == [
        (row["batch"], "inconclusive"), (64, row["verdict"]),
    ]  # fmt: skip
    assert json.loads(path.read_text()) == rows


def test_the_page_shows_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    row = known_rows()[0] | {"busy": True}
    write_page([row], tmp_path)
    page = (tmp_path / "shapes.md").read_text()
    assert "No CUDA device was at hand" in page
    assert "| – | – | – |" in page, "times beside other work are left out"
    card = {"device_name": "NVIDIA X", "precision": "bfloat16", "busy": False}
    full = {name: row[name] for name in ("shape", "messages", "steps", "episodes", "values", "device")}
    full |= {"device_name": "NVIDIA X", "batch": 64, "out_of_memory": True, "busy": False}
    write_page([row | card, full], tmp_path)
    page = (tmp_path / "shapes.md").read_text()
    assert "No CUDA device was at hand" not in page
    assert f"| 64 x {row['messages']} | | | out of memory |" in page
    assert f"| {row['seconds']['step']:.3f} |" in page  # type: ignore[index]


def test_the_page_of_record_is_that_of_its_figures(tmp_path: Path) -> None:
    write_page(add_rows(tmp_path / "shapes.json", known_rows()), tmp_path)
    assert (tmp_path / "shapes.md").read_text() == (DOCS / "shapes.md").read_text()
    assert (tmp_path / "shapes.json").read_text() == (DOCS / "shapes.json").read_text()


def test_the_command_measures_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells themselves run in processes of their own; here only what is done with their rows."""
    rows = known_rows()
    monkeypatch.setattr("sys.argv", ["shapes", "--docs", str(tmp_path), "--device", "cpu", "--batch", "8"])
    monkeypatch.setattr(shapes, "measure", lambda config, console: rows if config.batch == (8,) else [])
    assert shapes.main() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"shapes.json", "shapes.md"}
    monkeypatch.setattr("sys.argv", ["shapes", "--docs", str(tmp_path), "--device", "cuda:99"])
    with pytest.raises(ValueError, match="device 'cuda:99' is not there"):
        shapes.main()


@pytest.mark.slow
def test_cells_run_in_processes_of_their_own() -> None:
    config = ShapesConfig(
        shape=("qwen2.5-0.5b",), batch=(1,), messages=1, steps=2, episodes=5, values=3, device="cpu"
    )
    [row] = shapes.measure(config, Console())
    assert row["parameters"] == 494_032_768
    assert row["busy"] is False
