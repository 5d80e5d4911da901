"""Player profiles: what a file holds, what is built in, which flags change it, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import AS_LETTERS
from likelihood_cases import CALIBRATED, EXAMPLES, ROWS

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.model_files import EMBEDDED
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import (
    DEFAULT_PLAYER,
    PLAYERS_FOLDER,
    Profile,
    ReceiverSettings,
    SenderSettings,
    digest,
    find_profile,
    profile_json,
    read_profile,
)
from parley.agents.receiver import Receiver
from parley.envs.world import World

ADMITTED = Profile(
    sender=SenderSettings(shots=3),
    receiver=ReceiverSettings(readout="likelihood", wording="copy", calibration="content_free", shots=2),
    examples_seed=5,
    admission={"n": 200, "success": 0.925},
)


def write(path: Path, kept: dict[str, Any]) -> Path:
    path.write_text(json.dumps(kept, indent=2))
    return path


def changed(sealed: bool = True, **other: Any) -> dict[str, Any]:
    """A profile's content with other values, and a digest of it, or of what it was."""
    kept = profile_json(ADMITTED) | other
    return kept | {"sha256": digest(kept)} if sealed else kept


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", profile_json(ADMITTED))
    assert read_profile(path) == replace(ADMITTED, source="mine.json")
    assert read_profile(path, "elsewhere").source == "elsewhere"


@pytest.mark.parametrize("path", sorted(PLAYERS_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_built_in_file_is_whole_and_one_that_was_tried_names_its_weights(path: Path) -> None:
    profile = read_profile(path)
    assert profile_json(profile) == json.loads(path.read_text())
    assert bool(profile.models) == bool(profile.admission)


def test_every_embedded_model_has_one_and_others_get_the_cautious_default() -> None:
    for name in EMBEDDED:
        assert find_profile(ModelConfig(model=name)).source == f"built in for {name}"
    default = read_profile(PLAYERS_FOLDER / f"{DEFAULT_PLAYER}.json")
    for name in (
        "Qwen/Qwen2.5-0.5B-Instruct",
        "qwen2.5-3b",
        "./pocket",
        str(PLAYERS_FOLDER / "pocket"),
        "default",
    ):
        found = find_profile(ModelConfig(model=name))
        assert found.settings == default.settings
        assert found.source == "the default, never tried with this model"


def test_the_pocket_is_asked_as_it_always_was() -> None:
    found = find_profile(ModelConfig())
    assert (found.sender, found.receiver) == (SenderSettings(), ReceiverSettings())


def test_two_models_are_each_asked_in_their_own_way() -> None:
    found = find_profile(ModelConfig(sender="OWNER/some", receiver="pocket"))
    assert found.sender.shots == 1
    assert found.receiver == ReceiverSettings()
    assert found.source == "the default, never tried with this model (sender), built in for pocket (receiver)"
    assert found.admission is None


def test_flags_change_what_a_profile_says(tmp_path: Path) -> None:
    config = ModelConfig(player=write(tmp_path / "mine.json", profile_json(ADMITTED)))
    assert find_profile(config).admission == ADMITTED.admission
    asked = find_profile(replace(config, shots=1, calibration="none"))
    assert asked.sender.shots == asked.receiver.shots == 1
    assert asked.receiver == replace(ADMITTED.receiver, shots=1, calibration="none")
    assert asked.source == "mine.json, changed by flags"
    assert asked.admission is None, "trials of other settings say nothing"
    other = find_profile(replace(config, readout="label"))
    assert other.receiver == ReceiverSettings(readout="label", shots=2), "its own wording, and no calibration"
    same = find_profile(replace(config, readout="likelihood"))
    assert same.receiver == ADMITTED.receiver
    none = find_profile(ModelConfig(model="OWNER/some", **AS_LETTERS))
    assert none.settings == find_profile(ModelConfig()).settings


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"player profile \S+ is damaged: "),
        (b"\xff\xfe", r"player profile \S+ is damaged: "),
        ("[1]", r"\S+ is no player profile of format 'parley.player/1'; parley admit writes them"),
        (changed(format="parley.player/2"), "is no player profile of format 'parley.player/1'"),
        (changed(sealed=False, examples_seed=6), "was edited after parley admit wrote it; run parley admit"),
        (changed(sealed=False, admission={"n": 200, "success": 0.95}), "was edited after"),
        (changed(sender={"shots": 5}), r"cannot be used: shots must be from 0 to 4, got 5"),
        (changed(receiver={"shots": -1}), r"cannot be used: shots must be from 0 to 4, got -1"),
        (changed(receiver={"calibration": "null"}), "cannot be used: "),
        (changed(receiver={"temperature": 1}), "cannot be used: .*unexpected keyword argument 'temperature'"),
        (changed(examples_seed=-1), r"cannot be used: examples_seed must be .* got -1"),
        (changed(examples_seed="x"), "cannot be used: invalid literal"),
        (changed(models=None), "cannot be used: "),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "mine.json"
    if isinstance(content, dict):
        write(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=words):
        find_profile(ModelConfig(player=path))


def test_a_profile_without_a_part_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    kept = changed()
    del kept["receiver"]
    with pytest.raises(ModelError, match="cannot be used: 'receiver'"):
        read_profile(write(tmp_path / "mine.json", kept | {"sha256": digest(kept)}))
    with pytest.raises(ModelError, match=r"player profile \S+nothing.json cannot be read: No such file"):
        read_profile(tmp_path / "nothing.json")


def test_a_profile_is_for_the_models_it_was_made_for(
    qwen2_folder: Path, other_folder: Path, lm: FrozenLM, small_world: World, tmp_path: Path
) -> None:
    models = dict.fromkeys(("sender", "receiver"), lm.fingerprint)
    made = replace(ADMITTED, models=models, receiver=ReceiverSettings())
    config = ModelConfig(model=str(qwen2_folder), player=write(tmp_path / "mine.json", profile_json(made)))
    pair = Pair.load(config, small_world)
    assert pair.profile == replace(made, source="mine.json")
    words = rf"player profile mine.json was made for another receiver: .* {lm.fingerprint[:12]}…, this one's "
    with pytest.raises(ModelError, match=words):
        Pair.load(replace(config, receiver=str(other_folder)), small_world)


def test_settings_are_in_range() -> None:
    for settings in (SenderSettings, ReceiverSettings, ModelConfig):
        with pytest.raises(ValueError, match="shots must be from 0 to 4, got 5"):
            settings(shots=5)
    unchecked = SimpleNamespace(shots=0, calibration="null")  # the tests' check of types would come first
    with pytest.raises(ValueError, match="calibration must be one of none, content_free, got 'null'"):
        ReceiverSettings.__post_init__(unchecked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"readout": "likelyhood"}, "unknown readout 'likelyhood', did you mean 'likelihood'"),
        (
            {"wording": "copied"},
            "unknown likelihood wording 'copied', did you mean 'copy'",
        ),
        ({"readout": "label", "wording": "copy"}, "unknown label wording 'copy'"),
        (
            {"readout": "label"},
            "calibration must be none for readout 'label', which has none, got 'content_free'",
        ),
    ],
)
def test_what_a_readout_does_not_have_is_refused(lm: FrozenLM, changed: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Receiver(lm, replace(CALIBRATED, **changed))


def test_calibration_by_flag_is_refused_where_there_is_none(qwen2_folder: Path, small_world: World) -> None:
    config = ModelConfig(model=str(qwen2_folder), **AS_LETTERS | {"calibration": "content_free"})
    with pytest.raises(ValueError, match="calibration must be none for readout 'label'"):
        Pair.load(config, small_world)


def test_more_examples_than_the_context_holds_are_refused(lm: FrozenLM) -> None:
    told = EXAMPLES._replace(solved=EXAMPLES.solved * 4)
    for shots, words in (
        (4, r"prompt of \d+ tokens exceeds the 256 of model"),
        (3, r"candidates, message and answer take \d+ tokens, more than the 256 of model"),
    ):
        receiver = Receiver(lm, replace(CALIBRATED, shots=shots), told)
        with pytest.raises(ValueError, match=words):
            receiver.read([[*ROWS[0], *ROWS[1]]])
