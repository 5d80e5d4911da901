"""Which models can play: what a configuration says of its family, attention, positions and precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from parley.agents.model_sources import ModelError

FAMILIES = ("qwen2", "qwen3", "llama")  # Qwen2.5 calls itself qwen2
CONSTANT_ROPE = ("default", "linear", "yarn", "llama3")
_HYBRID = (
    "which mixes in linear attention: its running state has no keys and values, so what was read cannot be "
    "kept and gone on with at the slot under one message after another"
)


def check_family(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a family that was never tried, or that brings code of its own.

    Args:
        name: of the model.
        config: as its config.json has it.

    Raises:
        ModelError: if the family cannot play; says why.
        ValueError: if no family is named.
    """
    if "model_type" not in config:
        raise ValueError("it names no model_type")
    family = str(config["model_type"])
    if family not in FAMILIES:
        raise ModelError(
            f"model {name!r} is of family {family!r}, {_why_not(family, config)}; Parley plays dense models "
            f"of the families {', '.join(FAMILIES)} (Qwen2.5 counts as qwen2)"
        )


def _why_not(family: str, config: Mapping[str, Any]) -> str:
    """Why a family cannot play, as a relative clause."""
    text = config.get("text_config") or {}
    layers = [*(config.get("layer_types") or []), *(text.get("layer_types") or [])]
    if "linear_attention" in layers or family.startswith(("qwen3_next", "qwen3_5", "qwen3next", "qwen35")):
        return _HYBRID
    if "moe" in family:
        return "a mixture of experts"
    if family == "qwen":
        return "the first Qwen, which brings code of its own that is never run"
    if family.startswith(("qwen", *FAMILIES)):
        return "which is made for more than text"
    return "which was never tried"


def check_layers(name: str, config: PreTrainedConfig) -> None:
    """Refuse what would play, but not as the cached passes assume: prefixes that cannot stand alone.

    Args:
        name: of the model.
        config: of one of the families.

    Raises:
        ModelError: if what was read could not be kept, or no gradient could pass.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"model {name!r} is quantised; take the checkpoint in bfloat16, of which it was made"
        )
    # a family without sliding windows names no kinds of layers
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        raise ModelError(
            f"model {name!r} has layers with sliding-window attention, whose cache forgets the candidates "
            f"that were read first; Parley plays models with full attention in every layer"
        )
    if (rope := config.rope_parameters["rope_type"]) not in CONSTANT_ROPE:
        raise ModelError(
            f"model {name!r} scales its positions by {rope!r}, which turns keys otherwise as the prompt "
            f"grows, so that what was read cannot be kept; {', '.join(CONSTANT_ROPE[1:])} scaling is fine"
        )
