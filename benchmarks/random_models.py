"""Random models in the shapes of published Qwens: they have the cost of real ones, and no meaning."""

from __future__ import annotations

import hashlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from parley.agents.language_model import FrozenLM
from parley.agents.model_files import POCKET_FOLDER, decode_greedily
from parley.agents.shapes import SHAPES


def random_lm(name: str, *, device: torch.device, dtype: torch.dtype, seed: int = 0) -> FrozenLM:
    """A frozen model of a shape with random weights, made on the device and written nowhere.

    Its tokenizer is the pocket's: of the true number of embeddings, all but its few hundred are never looked
    up, and prompts have the lengths that the pocket reads, not those of Qwen's own tokenizer.

    Args:
        name: of the shape.
        device: where it is made.
        dtype: of its weights.
        seed: of its weights.

    Raises:
        KeyError: if there is no such shape.
    """
    config = SHAPES[name].config()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(POCKET_FOLDER, trust_remote_code=False)
    decode_greedily(model, tokenizer)
    identity = f"random weights of shape {name}, seed {seed}, {dtype}, made on {device.type}"
    return FrozenLM.of(
        model,
        tokenizer,
        name=f"{name} (random weights)",
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
    )
