"""Which files are taken for a model, and what is refused and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.model_files import POCKET_FOLDER, Source, find_source
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt, TextInput

ROWS = [["tiny red cube", "very large blue ball"], ["very large dark sea blue round cone", "tiny blue disc"]]
TEXTS = ["tiny red cube", "very large dark sea blue round cone"]
SaveModel = Callable[..., Path]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the hub, as downloads leave it, and no connection."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def folder(qwen2_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, to be spoilt."""
    return Path(shutil.copytree(qwen2_folder, tmp_path / "model"))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def publish(hub: Path, name: str, revision: str, commit: str, folder: Path) -> None:
    home = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, home / "snapshots" / commit)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / revision).write_text(commit)


def with_config(save_model: SaveModel, tokenizer: Any, **settings: Any) -> Path:
    """A random Qwen2 of three layers."""
    torch.manual_seed(0)
    config = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "initializer_range": 0.1, "tie_word_embeddings": True, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    return save_model(Qwen2ForCausalLM(Qwen2Config(**config | settings)))


def cached_less_full(lm: FrozenLM) -> float:
    """By how much choosing from the cache and in one full pass differ, at most."""
    receiver = Receiver(lm)
    torch.manual_seed(0)
    prefix = SoftPrompt(torch.randn(2, 4, lm.width))
    return max(
        (receiver.choose(receiver.read(ROWS), answer_states) - receiver.choose_uncached(ROWS, answer_states))
        .abs()
        .max()
        .item()
        for answer_states in (TextInput(TEXTS), prefix)
    )


def test_a_name_may_carry_a_revision(tmp_path: Path) -> None:
    assert find_source("pocket") == Source(str(POCKET_FOLDER), None)
    assert find_source("Qwen/Qwen2.5-3B") == Source("Qwen/Qwen2.5-3B", None)
    assert find_source("Qwen/Qwen2.5-3B@v1") == Source("Qwen/Qwen2.5-3B", "v1")
    assert find_source("Qwen/Qwen2.5-3B@refs/pr/7") == Source("Qwen/Qwen2.5-3B", "refs/pr/7")
    (tmp_path / "mine@home").mkdir()
    assert find_source(str(tmp_path / "mine@home")) == Source(str(tmp_path / "mine@home"), None)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-3B@", "@v1", "@"])
def test_half_a_revision_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name}' must be a folder, a hub name or NAME@REVISION of the hub"):
        FrozenLM(name)


def test_a_folder_has_no_revisions(folder: Path) -> None:
    for name in ("pocket@v1", f"{folder}@v1"):
        with pytest.raises(ModelError, match="@v1' asks for a revision, which only models on the hub have"):
            FrozenLM(name)


def test_a_revision_on_the_hub_is_that_branch_tag_or_commit(
    hub: Path, qwen2_folder: Path, other_folder: Path
) -> None:
    publish(hub, "acme/tiny", "main", "a" * 40, qwen2_folder)
    publish(hub, "acme/tiny", "v2", "b" * 40, other_folder)
    assert FrozenLM("acme/tiny").width == FrozenLM("acme/tiny@main").width == 32
    tagged, committed = FrozenLM("acme/tiny@v2"), FrozenLM(f"acme/tiny@{'b' * 40}")
    assert (tagged.width, committed.width, tagged.name) == (48, 48, "acme/tiny@v2")
    assert tagged.fingerprint == committed.fingerprint == FrozenLM(str(other_folder)).fingerprint
    with pytest.raises(ModelError, match=r"'acme/tiny@v3' was not found .* \(is there a connection\?\)"):
        FrozenLM("acme/tiny@v3")


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("qwen3_next", "which mixes in linear attention: its running state has no keys and values"),
        ("qwen3_5", "which mixes in linear attention"),
        ("qwen3_5_moe", "which mixes in linear attention"),
        ("qwen2_moe", "a mixture of experts"),
        ("qwen3_moe", "a mixture of experts"),
        ("qwen2_vl", "which is made for more than text"),
        ("qwen3_omni_moe", "a mixture of experts"),
        ("qwen2_audio", "which is made for more than text"),
        ("qwen", "the first Qwen, which brings code of its own that is never run"),
        ("mistral", "which was never tried"),
        ("llama4", "which is made for more than text"),
        ("qwen9000", "which is made for more than text"),
        ("nobody_knows", "which was never tried"),
    ],
)
def test_a_family_that_cannot_play_is_told_why(folder: Path, family: str, reason: str) -> None:
    change_json(folder / "config.json", model_type=family, layer_types=None)
    with pytest.raises(ModelError) as caught:
        FrozenLM(str(folder))
    assert f"is of family {family!r}, {reason}" in str(caught.value)
    assert str(caught.value).endswith(
        "; Parley plays dense models of the families qwen2, qwen3, llama (Qwen2.5 counts as qwen2)"
    )


@pytest.mark.parametrize("place", ["itself", "text_config"])
def test_linear_attention_is_found_in_families_to_come(folder: Path, place: str) -> None:
    layers = {"layer_types": ["linear_attention", "full_attention"]}
    change_json(
        folder / "config.json", model_type="qwen4", **(layers if place == "itself" else {place: layers})
    )
    with pytest.raises(ModelError, match="of family 'qwen4', which mixes in linear attention"):
        FrozenLM(str(folder))


def test_sliding_windows_are_refused_because_the_cache_forgets(
    save_model: SaveModel, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sliding = with_config(
        save_model, tiny_tokenizer, use_sliding_window=True, sliding_window=24, max_window_layers=1
    )
    with pytest.raises(ModelError, match="has layers with sliding-window attention, whose cache forgets"):
        FrozenLM(str(sliding))
    monkeypatch.setattr("parley.agents.model_files.check_layers", lambda *_: None)
    with pytest.raises(RuntimeError, match="must match the size"):  # otherwise it need not be refused
        cached_less_full(FrozenLM(str(sliding)))


def test_a_window_that_no_layer_uses_does_no_harm(save_model: SaveModel, tiny_tokenizer: Any) -> None:
    """As Qwen2.5's own checkpoints say: sliding_window is set, use_sliding_window is not."""
    unused = with_config(save_model, tiny_tokenizer, use_sliding_window=False, max_window_layers=3)
    change_json(unused / "config.json", sliding_window=24)
    assert cached_less_full(FrozenLM(str(unused))) < 1e-5


@pytest.mark.parametrize("kind", ["yarn", "linear"])
def test_scaled_positions_play_beyond_the_length_they_were_scaled_from(
    save_model: SaveModel, tiny_tokenizer: Any, kind: str
) -> None:
    """Written as Qwen's model cards have it: rope_scaling, with factor and original length."""
    scaled = with_config(save_model, tiny_tokenizer)
    rope = {"type": kind, "rope_type": kind, "factor": 4.0}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = 16
    change_json(scaled / "config.json", rope_parameters=None, rope_theta=1000.0, rope_scaling=rope)
    lm = FrozenLM(str(scaled))
    assert lm.model.model.rotary_emb.rope_type == kind
    assert Receiver(lm).read(ROWS).ids.shape[1] > 16
    assert cached_less_full(lm) < 1e-5


def test_positions_that_turn_as_the_prompt_grows_are_refused(
    save_model: SaveModel, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rope = {
        "rope_type": "longrope", "rope_theta": 1000.0, "factor": 4.0, "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
    }  # fmt: skip
    length = Receiver(FrozenLM(str(with_config(save_model, tiny_tokenizer)))).read(ROWS).ids.shape[1]
    growing = with_config(
        save_model, tiny_tokenizer, rope_parameters=rope | {"original_max_position_embeddings": length}
    )
    with pytest.raises(ModelError, match="scales its positions by 'longrope', which turns keys otherwise"):
        FrozenLM(str(growing))
    monkeypatch.setattr("parley.agents.model_files.check_layers", lambda *_: None)
    assert cached_less_full(FrozenLM(str(growing))) > 1e-3, "otherwise it need not be refused"


def test_dynamic_scaling_is_refused_too(save_model: SaveModel, tiny_tokenizer: Any) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 4.0}
    with pytest.raises(ModelError, match=r"by 'dynamic', .*; linear, yarn, llama3 scaling is fine"):
        FrozenLM(str(with_config(save_model, tiny_tokenizer, rope_parameters=rope)))


def test_a_quantised_checkpoint_is_refused(folder: Path) -> None:
    change_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(
        ModelError, match="is quantised; take the checkpoint in bfloat16, of which it was made"
    ):
        FrozenLM(str(folder))


def test_an_adapter_is_refused(folder: Path) -> None:
    """Transformers would load another model, from elsewhere, and lay it over that."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')
    with pytest.raises(ModelError, match="is an adapter; merge it into its base model and save the result"):
        FrozenLM(str(folder))


def plant(folder: Path, *files: str) -> Path:
    """Code that would leave a trace if it were run."""
    trace = folder / "trace"
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(f"open({str(trace)!r}, 'w').write('run')\nraise SystemExit(66)\n")
    return trace


def test_code_that_a_checkpoint_brings_is_never_run(folder: Path) -> None:
    trace = plant(folder, "modeling_mine.py", "tokenization_mine.py", "custom_generate/generate.py")
    own = {"AutoConfig": "modeling_mine.MyConfig", "AutoModelForCausalLM": "modeling_mine.MyModel"}
    change_json(folder / "config.json", auto_map=own)
    change_json(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["tokenization_mine.MyTokenizer", "tokenization_mine.MyTokenizer"]},
    )
    lm = FrozenLM(str(folder))
    Receiver(lm)
    lm.model.generate(input_ids=torch.tensor([[5]]), max_new_tokens=1)
    assert type(lm.model) is Qwen2ForCausalLM
    assert not trace.exists()


@pytest.mark.parametrize("family", ["my_model", "qwen", None])
def test_a_checkpoint_that_needs_code_of_its_own_is_refused(folder: Path, family: str | None) -> None:
    trace = plant(folder, "modeling_mine.py")
    change_json(
        folder / "config.json",
        model_type=family,
        auto_map={"AutoConfig": "modeling_mine.MyConfig", "AutoModelForCausalLM": "modeling_mine.MyModel"},
    )
    with pytest.raises(ModelError, match=r"is of family|has a config\.json that cannot be used"):
        FrozenLM(str(folder))
    assert not trace.exists()


def test_a_tokenizer_with_code_of_its_own_is_read_from_its_plain_file(
    folder: Path, qwen2_folder: Path
) -> None:
    trace = plant(folder, "tokenization_mine.py")
    own = {"AutoTokenizer": ["tokenization_mine.MyTokenizer", None]}
    change_json(folder / "tokenizer_config.json", tokenizer_class="MyTokenizer", auto_map=own)
    text = "very large red cube"
    assert FrozenLM(str(folder)).encode(text) == FrozenLM(str(qwen2_folder)).encode(text)
    assert not trace.exists()
