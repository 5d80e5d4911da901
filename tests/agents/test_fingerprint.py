"""What tells one player from another: its files, and what is in force of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.model_files import EMBEDDED


@pytest.fixture
def folder(qwen2_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, to be changed."""
    return Path(shutil.copytree(qwen2_folder, tmp_path / "model"))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def template_in(file: str, folder: Path, template: str) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if file == "chat_template.jinja":
        (folder / file).write_text(template)
    else:
        change_json(folder / "tokenizer_config.json", chat_template=template)


def test_another_chat_template_is_another_player_wherever_it_is_kept(folder: Path) -> None:
    first = FrozenLM(str(folder))
    template = first.tokenizer.chat_template
    template_in("tokenizer_config.json", folder, template)
    assert FrozenLM(str(folder)).fingerprint == first.fingerprint, "the same template in another file"
    changed = template.replace("assistant", "helper")
    template_in("tokenizer_config.json", folder, changed)
    elsewhere = FrozenLM(str(folder)).fingerprint
    template_in("chat_template.jinja", folder, changed)
    assert FrozenLM(str(folder)).fingerprint == elsewhere != first.fingerprint


def swap_two_tokens(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    path.write_text(json.dumps(tokenizer))


def end_elsewhere(folder: Path) -> None:
    change_json(folder / "generation_config.json", eos_token_id=[0, 2])


@pytest.mark.parametrize("change", [swap_two_tokens, end_elsewhere])
def test_another_tokenizer_or_end_of_answer_is_another_player(
    folder: Path, change: Callable[[Path], None]
) -> None:
    first = FrozenLM(str(folder)).fingerprint
    change(folder)
    assert FrozenLM(str(folder)).fingerprint != first


def test_files_that_are_not_read_change_nothing(folder: Path, qwen2_sharded_folder: Path) -> None:
    first = FrozenLM(str(folder)).fingerprint
    (folder / "README.md").write_text("read me")
    save_file({"other": torch.ones(2)}, folder / "consolidated.safetensors")
    (folder / "vocab.json").write_text("{}")
    assert FrozenLM(str(folder)).fingerprint == first
    assert FrozenLM(str(qwen2_sharded_folder)).fingerprint != first, "by its files, not by its weights"


def test_every_shard_counts(qwen2_sharded_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(qwen2_sharded_folder, tmp_path / "sharded"))
    first = FrozenLM(str(folder)).fingerprint
    last = max(folder.glob("model-*.safetensors"))
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(bytes(content))
    assert FrozenLM(str(folder)).fingerprint != first


def test_vocabulary_and_merges_serve_where_tokenizer_json_is_missing(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text())["model"]
    first = FrozenLM(str(folder))
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(whole["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in whole["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    change_json(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    lm = FrozenLM(str(folder))
    assert lm.encode_plain("very large red cube") == first.encode_plain("very large red cube")
    before = lm.fingerprint
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges.rpartition("\n")[0])
    assert len({first.fingerprint, before, FrozenLM(str(folder)).fingerprint}) == 3
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\nq q\n")
    with pytest.raises(ModelError, match=r"could not be loaded: .*Token `qq` out of vocabulary"):
        FrozenLM(str(folder))


def test_a_folder_that_says_what_it_was_is_held_to_it(folder: Path) -> None:
    """As the embedded models' folders say."""
    (folder / "fingerprint.txt").write_text(FrozenLM(str(folder)).fingerprint + "\n")
    FrozenLM(str(folder))
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"damaged or was changed: its fingerprint is .*\.txt says"):
        FrozenLM(str(folder))


def test_the_embedded_models_say_what_they_are() -> None:
    assert all((place / "fingerprint.txt").is_file() for place in EMBEDDED.values())
