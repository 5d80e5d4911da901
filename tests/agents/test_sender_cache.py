"""What a sender says and reads is kept on disk: the same bits, of the same sender alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from parley.agents import features, sender_cache
from parley.agents.examples import draw_examples
from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import SenderSettings
from parley.agents.sender import Sender
from parley.agents.sender_cache import KeptStates, KeptWords
from parley.channels.base import SenderFeatures
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.envs.world import Attribute, World

CACHE_FOLDER_OF = ModelConfig.__dict__["sender_cache_folder"]  # as it is outside the tests
MESSAGE = SenderFeatures(1, "message")


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "MAX_DESCRIPTION_TOKENS", 4)


@pytest.fixture
def nothing_runs(lm: FrozenLM, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, the model must not be run."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model runs")

    def begin() -> None:
        monkeypatch.setattr(lm.model, "forward", refuse)
        monkeypatch.setattr(lm.model.model, "forward", refuse)

    return begin


def test_a_second_sender_runs_nothing_and_reads_the_same_bits(
    lm: FrozenLM, small_world: World, tmp_path: Path, nothing_runs: Callable[[], None]
) -> None:
    referents = small_world.referents("train")[:6]
    readings = [SenderFeatures(), MESSAGE, SenderFeatures(of="message", what="cache")]

    def everything(sender: Sender) -> list[torch.Tensor]:
        read = [sender.read(referents, reading)[0] for reading in readings]
        return [*read, sender.expect(referents, lm.embedding_table)[0]]

    without = Sender(lm, small_world)
    first = Sender(lm, small_world, cache=tmp_path)
    wanted, texts = everything(without), without.describe(referents)
    assert all(map(torch.equal, everything(first), wanted))
    nothing_runs()
    again = Sender(lm, small_world, cache=tmp_path)
    assert all(map(torch.equal, everything(again), wanted))
    assert again.describe(referents) == texts


def test_a_reading_that_was_cut_resumes(
    lm: FrozenLM, small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_cache, "ROWS_A_FILE", 4)
    referents, passes = small_world.referents("train")[:10], []
    original = Sender._read

    def cut(self: Sender, rows: list, layer: int, of: str) -> list[torch.Tensor]:  # type: ignore[type-arg]
        passes.append(len(rows))
        if len(passes) == 3:
            raise KeyboardInterrupt
        return original(self, rows, layer, of)

    monkeypatch.setattr(Sender, "_read", cut)
    with pytest.raises(KeyboardInterrupt):
        Sender(lm, small_world, cache=tmp_path).read(referents)
    states, _ = Sender(lm, small_world, cache=tmp_path).read(referents)
    assert passes == [4, 4, 2, 2]
    whole, _ = Sender(lm, small_world).read(referents)
    torch.testing.assert_close(states, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("damage", ["a flipped bit", "half a file", "another sender's"])
@pytest.mark.parametrize("reading", ["words", "layer-1"])
def test_a_damaged_or_foreign_file_is_computed_anew(
    lm: FrozenLM,
    qwen2_untied_folder: Path,
    small_world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
    reading: str,
) -> None:
    referents = small_world.referents("train")[:3]
    wanted = Sender(lm, small_world, cache=tmp_path).speak(referents)
    said = list(wanted.texts)  # decoded now, and kept
    [path] = tmp_path.glob(f"{reading}-*/*")
    content = path.read_bytes()
    if damage == "another sender's":
        other = Sender(FrozenLM(str(qwen2_untied_folder)), small_world, cache=tmp_path / "other")
        assert list(other.speak(referents).texts) != said
        [foreign] = (tmp_path / "other").glob(f"{reading}-*/*")
        os.replace(foreign, path.with_name(foreign.name))
        path.unlink()
        path = path.with_name(foreign.name)
    else:
        changed = bytes([*content[:-3], content[-3] ^ 1, *content[-2:]])
        path.write_bytes(changed if damage == "a flipped bit" else content[: len(content) // 2])
    capsys.readouterr()
    again = Sender(lm, small_world, cache=tmp_path).speak(referents)
    assert list(again.texts) == said
    assert torch.equal(again.states, wanted.states)
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"{path} is damaged or of another sender: its referents are read anew"


def test_another_sender_world_or_precision_keeps_its_own(
    lm: FrozenLM, qwen2_folder: Path, qwen2_untied_folder: Path, small_world: World, tmp_path: Path
) -> None:
    game = find_game(DEFAULT_GAME, small_world, EpisodeConfig(split="train"))
    other_words = Attribute(name="size", values=("tiny", "enormous"))
    senders = [
        Sender(lm, small_world, cache=tmp_path),
        Sender(lm, small_world, SenderSettings(shots=1), draw_examples(game, 0), cache=tmp_path),
        Sender(lm, small_world, SenderSettings(shots=2), draw_examples(game, 0), cache=tmp_path),
        Sender(lm, small_world, SenderSettings(shots=2), draw_examples(game, 1), cache=tmp_path),
        Sender(lm, replace(small_world, name="renamed"), cache=tmp_path),
        Sender(
            lm, replace(small_world, attributes=(other_words, *small_world.attributes[1:])), cache=tmp_path
        ),
        Sender(FrozenLM(str(qwen2_folder), dtype=torch.bfloat16), small_world, cache=tmp_path),
        Sender(FrozenLM(str(qwen2_untied_folder)), small_world, cache=tmp_path),
    ]
    for number, sender in enumerate(senders, start=1):
        sender.read(small_world.referents("train")[:1])
        assert len(list(tmp_path.iterdir())) == number
    senders[0].read(small_world.referents("train")[:1], SenderFeatures(1))
    one, other = lm.embedding_table, 2 * lm.embedding_table
    expected = [
        Sender(lm, small_world, cache=tmp_path).expect(small_world.referents("train")[:1], table)[0]
        for table in (one, other)
    ]
    torch.testing.assert_close(2 * expected[0], expected[1])


def test_what_is_unfinished_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    kept = KeptWords(tmp_path, "words", {})
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            kept.add({3: "red"})
    assert KeptWords(tmp_path, "words", {}) == {}
    kept.add({3: "rot ☂"})
    assert KeptWords(tmp_path, "words", {}) == {3: "rot ☂"}
    assert KeptWords(tmp_path, "words", {"sender": "b"}) == {}


def test_states_of_any_length_are_kept(tmp_path: Path) -> None:
    batch = {7: torch.randn(3, 2), 1: torch.zeros(0, 2), 4: torch.randn(1, 2)}
    KeptStates(torch.device("cpu"), tmp_path, "states", {}).add(batch)
    again = KeptStates(torch.device("cpu"), tmp_path, "states", {})
    assert again.keys() == batch.keys()
    assert all(torch.equal(again[index], states) for index, states in batch.items())


def test_without_a_folder_nothing_is_written(
    lm: FrozenLM, small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Sender(lm, small_world).speak(small_world.referents("train")[:2])
    assert list(tmp_path.iterdir()) == []


def test_a_pair_keeps_what_its_sender_reads_unless_that_is_embedded(
    qwen2_folder: Path, small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelConfig, "sender_cache_folder", CACHE_FOLDER_OF)
    monkeypatch.chdir(tmp_path)
    for config, wanted in (
        (ModelConfig(model=str(qwen2_folder), device="cpu"), Path("runs/sender")),
        (ModelConfig(sender=str(qwen2_folder), sender_cache=Path("here"), device="cpu"), Path("here")),
        (ModelConfig(model=str(qwen2_folder), sender_cache=None, device="cpu"), None),
        (ModelConfig(receiver=str(qwen2_folder), sender_cache=Path("here"), device="cpu"), None),
        (ModelConfig(device="cpu"), None),
    ):
        assert config.sender_cache_folder == wanted
    Pair.load(ModelConfig(model=str(qwen2_folder), device="cpu"), small_world).sender.describe(
        small_world.referents("train")[:1]
    )
    assert [path.suffix for path in Path("runs/sender").glob("words-*/*")] == [".json"]


@pytest.mark.parametrize(("referents", "shown"), [(257, True), (256, False)])
def test_a_long_reading_shows_how_far_it_is(
    referents: int, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "100")
    batches = list(sender_cache.in_batches(range(referents), 64, "words"))
    assert [index for batch in batches for index in batch] == list(range(referents))
    assert max(map(len, batches)) == 64
    written = capsys.readouterr()
    assert written.out == ""
    assert ("the sender's words" in written.err and "257" in written.err) == shown
