"""Writes a small model and its byte-level tokenizer as a GGUF file, as llama.cpp's converter does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from torch import Tensor

CONTROL, NORMAL = 3, 1


def write_gguf(
    path: Path,
    model: Any,
    tokenizer: Any,
    *,
    architecture: str | None = None,
    quantisation: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    template: bool = True,
    leave_out: tuple[str, ...] = (),
    **extra: str,
) -> Path:
    """The file at `path`.

    Args:
        path: of the file.
        model: a Qwen2ForCausalLM, Qwen3ForCausalLM or LlamaForCausalLM.
        tokenizer: a byte-level one with Qwen2's pre-tokenisation.
        architecture: what the metadata call it; None for what it is.
        quantisation: of the matrices.
        template: whether its chat template goes along.
        leave_out: names of tensors, as GGUF has them, that do not.
        extra: more metadata, behind the architecture's name and a dot; `__` stands for a dot.
    """
    config = model.config
    kind = architecture or config.model_type
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if width := getattr(config, "head_dim", None):
        writer.add_key_length(width)
        writer.add_rope_dimension_count(width)
    for key, value in extra.items():
        writer.add_string(f"{kind}.{key.replace('__', '.')}", value)
    _add_tokenizer(writer, tokenizer, config, template)
    for name, weight in _tensors(model).items():
        if name not in leave_out:
            _add(writer, name, weight, quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, tokenizer: Any, config: Any, template: bool) -> None:
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    ids = tokenizer.get_vocab()
    added = tokenizer.get_added_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in added else NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary["merges"]])
    writer.add_bos_token_id(0)  # which older transformers asks for
    writer.add_eos_token_id(config.eos_token_id)
    if config.pad_token_id is not None:
        writer.add_pad_token_id(config.pad_token_id)
    if template:
        writer.add_chat_template(tokenizer.chat_template)


def _tensors(model: Any) -> dict[str, Tensor]:
    """The weights under the names, and in the order of rows, that GGUF has."""
    config = model.config
    kinds = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[config.model_type], config.num_hidden_layers)
    weights = {}
    for name, weight in model.named_parameters():
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            halves = weight.unflatten(0, (heads, 2, -1))  # llama.cpp turns neighbours, not halves
            weight = halves.transpose(1, 2).flatten(0, 2)
        weights[names.get_name(name, try_suffixes=(".weight", ".bias"))] = weight.detach()
    return weights


def _add(writer: Any, name: str, weight: Tensor, quantisation: gguf.GGMLQuantizationType) -> None:
    rows = weight.numpy().astype(np.float32)
    if rows.ndim == 2 and quantisation != gguf.GGMLQuantizationType.F32:
        writer.add_tensor(name, gguf.quantize(rows, quantisation), raw_dtype=quantisation)
    else:
        writer.add_tensor(name, rows)
