"""What loads, how it is frozen, and what is refused and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import StringIO
from logging import StreamHandler
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.prompts import LABELS, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import TextInput
from studies.pocket_model import CONTROL_TOKENS


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach for the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(qwen2_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, to be spoilt."""
    return Path(shutil.copytree(qwen2_folder, tmp_path / "model"))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_family_loads_frozen(any_lm: FrozenLM) -> None:
    assert not any_lm.model.training
    assert not any(module.training for module in any_lm.model.modules())
    assert not any(parameter.requires_grad for parameter in any_lm.model.parameters())
    assert (any_lm.num_layers, any_lm.width, any_lm.max_length) == (3, 32, 256)
    assert any_lm.dtype == torch.float32 == any_lm.embedding_table.dtype
    assert any_lm.embedding_table.shape == (len(any_lm.tokenizer), 32)


def test_the_architectures_are_what_they_should_be(request: pytest.FixtureRequest) -> None:
    """Otherwise the tests over all of them would try one thing five times."""
    untied = FrozenLM(str(request.getfixturevalue("qwen2_untied_folder"))).model
    assert untied.lm_head.weight is not untied.model.embed_tokens.weight
    tied = FrozenLM(str(request.getfixturevalue("qwen2_folder"))).model
    assert tied.lm_head.weight is tied.model.embed_tokens.weight
    assert FrozenLM(str(request.getfixturevalue("qwen2_gqa_folder"))).model.config.num_key_value_heads == 2
    assert FrozenLM(str(request.getfixturevalue("qwen3_folder"))).model.model.layers[0].self_attn.q_norm
    shards = request.getfixturevalue("qwen2_sharded_folder").glob("model-*.safetensors")
    assert len(list(shards)) > 1


def test_shards_hold_the_same_weights(lm: FrozenLM, qwen2_sharded_folder: Path) -> None:
    sharded = FrozenLM(str(qwen2_sharded_folder)).model.state_dict()
    assert all(torch.equal(tensor, sharded[name]) for name, tensor in lm.model.state_dict().items())


def test_the_embedding_norm_is_the_mean_of_the_rows(lm: FrozenLM) -> None:
    rows = lm.embedding_table.numpy()
    assert lm.embedding_norm() == pytest.approx(float((rows**2).sum(1).__pow__(0.5).mean()), rel=1e-5)


def test_the_fingerprint_is_of_the_weights_and_the_same_in_every_precision(
    qwen2_folder: Path, folder: Path, other_folder: Path
) -> None:
    first = FrozenLM(str(qwen2_folder)).fingerprint
    assert first == FrozenLM(str(folder), dtype=torch.bfloat16).fingerprint
    assert first != FrozenLM(str(other_folder)).fingerprint
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert FrozenLM(str(folder)).fingerprint != first


def test_the_chat_is_rendered_up_to_the_answer(lm: FrozenLM) -> None:
    assert lm.render("Hello") == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


def test_thinking_is_switched_off_where_a_template_knows_it(folder: Path) -> None:
    lm = FrozenLM(str(folder))
    lm.tokenizer.chat_template = (
        "{% if enable_thinking is false %}no thoughts{% endif %}{{messages[0]['content']}}"
    )
    assert lm.render("!") == "no thoughts!"


def test_plain_text_is_tokenised_as_ever_and_control_tokens_as_characters(lm: FrozenLM) -> None:
    assert lm.encode_plain("very large red cube") == lm.encode("very large red cube")
    control = lm.tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS))
    assert lm.encode("".join(CONTROL_TOKENS)) == control
    assert not set(control) & set(lm.encode_plain("".join(CONTROL_TOKENS)))


def test_rows_are_padded_on_the_left(lm: FrozenLM) -> None:
    ids, mask = lm.left_pad([[5], [6, 7, 8], []])
    pad = lm.tokenizer.pad_token_id
    assert ids.tolist() == [[pad, pad, 5], [6, 7, 8], [pad, pad, pad]]
    assert mask.tolist() == [[False, False, True], [True] * 3, [False] * 3]
    ids, mask = lm.left_pad([[], []])
    assert (ids.shape, ids.dtype, mask.dtype) == ((2, 0), torch.long, torch.bool)


def test_a_checkpoints_decoding_habits_are_left_behind(folder: Path) -> None:
    """Qwen2.5 ships a repetition penalty, which greedy decoding would obey."""
    habits = {"repetition_penalty": 1.3, "do_sample": True, "temperature": 0.7, "top_k": 20}
    change_json(folder / "generation_config.json", **habits)
    ours = FrozenLM(str(folder)).model.generation_config
    assert (ours.repetition_penalty, ours.do_sample, ours.temperature, ours.top_k) == (None,) * 4
    assert ours.eos_token_id == FrozenLM(str(folder)).tokenizer.eos_token_id


def test_loading_prints_nothing(qwen2_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    FrozenLM(str(qwen2_folder))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before


def test_float16_is_refused(qwen2_folder: Path) -> None:
    with pytest.raises(
        ModelError, match="dtype float16 is too narrow for gradients, use bfloat16 or float32"
    ):
        FrozenLM(str(qwen2_folder), dtype=torch.float16)


@pytest.mark.parametrize("name", ["nobody/nothing", "./no/such/folder", "no-such-model", "/no/such"])
def test_what_is_nowhere_is_refused_quickly(name: str) -> None:
    began = monotonic()
    with pytest.raises(ModelError, match="was not found as a folder, nor on the hub") as caught:
        FrozenLM(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert monotonic() - began < 5


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["config.json"], "lacks config.json"),
        (["tokenizer_config.json"], "lacks tokenizer_config.json"),
        (["tokenizer.json"], r"lacks tokenizer.json \(or vocab.json and merges.txt\)"),
        (["model.safetensors"], r"lacks weights \(\*\.safetensors\)"),
    ],
)
def test_a_folder_without_a_needed_file_is_refused(folder: Path, files: list[str], reason: str) -> None:
    for name in files:
        (folder / name).unlink()
    with pytest.raises(ModelError, match=f"model folder {folder} {reason}"):
        FrozenLM(str(folder))


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def forget_the_family(folder: Path) -> None:
    (folder / "config.json").write_text('{"hidden_size": 8}')


def truncate_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def random_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 50)


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def reshape_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(5)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def add_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.bias"] = torch.ones(48)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def spoil_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_config, "has a config.json that cannot be used"),
        (forget_the_family, "has a config.json that cannot be used"),
        (truncate_weights, "could not be loaded: "),
        (random_weights, "could not be loaded: "),
        (lose_a_weight, "could not be loaded: its files lack 1 weights, such as model.layers.1.mlp.up_proj"),
        (
            add_a_weight,
            "its files hold 1 weights that it has no place for, such as model.layers.1.mlp.up_proj",
        ),
        (reshape_a_weight, "could not be loaded: "),
        (spoil_tokenizer, "could not be loaded: "),
    ],
)
def test_a_damaged_folder_is_refused(folder: Path, spoil: Callable[[Path], None], reason: str) -> None:
    spoil(folder)
    advice = StringIO()
    handler = StreamHandler(advice)
    logging.add_handler(handler)
    try:
        with pytest.raises(ModelError, match=reason) as caught:
            FrozenLM(str(folder))
    finally:
        logging.remove_handler(handler)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert advice.getvalue() == "", "the error is all that is said"


def test_a_missing_shard_is_refused(qwen2_sharded_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(qwen2_sharded_folder, tmp_path / "model"))
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(ModelError, match="could not be loaded"):
        FrozenLM(str(folder))


@pytest.mark.parametrize("family", ["mistral", "qwen2_moe", "qwen3_next", "qwen3_5"])
def test_other_families_are_refused(folder: Path, family: str) -> None:
    """Qwen3-Next and Qwen3.5 mix in linear attention, which has no keys and values to keep."""
    change_json(folder / "config.json", model_type=family, layer_types=None)
    with pytest.raises(
        ModelError, match=f"is of family '{family}'.*dense models of the families qwen2, qwen3, llama"
    ):
        FrozenLM(str(folder))


def test_no_chat_template_is_refused(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "chat_template"})
    )
    with pytest.raises(ModelError, match="has no chat template, so there is no place for a message"):
        FrozenLM(str(folder))


def test_a_tokenizer_of_another_model_is_refused(
    other_folder: Path, qwen2_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(other_folder, tmp_path / "model"))
    shutil.copy(qwen2_folder / "tokenizer.json", folder)
    with pytest.raises(
        ModelError, match=r"has \d+ token embeddings, fewer than the \d+ tokens of its tokenizer"
    ):
        FrozenLM(str(folder))


def test_pickled_weights_are_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="lacks weights"):
        FrozenLM(str(folder))


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """A tokenizer as Llama 2 has it: spaces are letters, and nothing is cut into words beforehand."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")  # to learn whole words alone
    tokenizer.train_from_iterator(
        [*(LABELS * 9), receiver_prompt(["tiny red cube", "blue ball"]), "</s> [INST]"],
        trainers.BpeTrainer(vocab_size=200, special_tokens=["<s>", "</s>"], show_progress=False),
    )
    tokenizer.pre_tokenizer = None
    template = "{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=template
    )


def test_a_llama_without_words_or_padding_plays(
    sentencepiece: PreTrainedTokenizerFast, save_model: Callable[..., Path]
) -> None:
    config = LlamaConfig(
        vocab_size=len(sentencepiece), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=512, eos_token_id=1, pad_token_id=None,
    )  # fmt: skip
    lm = FrozenLM(str(save_model(LlamaForCausalLM(config), sentencepiece)))
    assert lm.encode_plain(" tiny red cube") == lm.encode(" tiny red cube")
    assert lm.encode("</s>")[-1] == 1
    assert 1 not in lm.encode_plain("</s>"), "said, it is plain text"
    receiver, candidates = Receiver(lm), [["tiny red cube", "blue ball"], ["blue cube", "tiny red ball"]]
    messages = TextInput(["tiny red cube", "ball"])
    cached = receiver.choose(receiver.read(candidates), messages)
    torch.testing.assert_close(cached, receiver.choose_uncached(candidates, messages), rtol=1e-4, atol=1e-5)
