"""Memory of a training step on real shapes, by arithmetic: an estimate, to be held against measurements."""

from __future__ import annotations

from typing import NamedTuple

from agents.shapes import Shape

BF16, FP32 = 2, 4
SLOT_AND_ANSWER = 9  # k = 4 vectors and the five tokens of ChatML's answer
SENDER_TOKENS = 60
READ_AT_ONCE = 256


class Estimate(NamedTuple):
    """Bytes on the device, by what holds them."""

    weights: float
    contexts: float
    activations: float
    sender: float
    validation: float

    @property
    def total(self) -> float:
        """All of it at once; what CUDA itself and fragments take is not in it."""
        return sum(self)


def estimate(
    shape: Shape,
    *,
    contexts: int,
    messages: int = 5,
    prompt_tokens: int = 85,
    referents: int = 1843,
    validation_episodes: int = 200,
) -> Estimate:
    """Memory of the default recipe in bfloat16, one model on both sides.

    Args:
        shape: of the model.
        contexts: a step (batch_size).
        messages: a context (messages_per_context).
        prompt_tokens: of the receiver, before the slot.
        referents: in the training split, whose states the sender keeps.
        validation_episodes: whose contexts are kept.
    """
    rows = contexts * messages
    cached = BF16 * shape.cache_numbers_per_token
    queries = shape.num_heads * shape.head_width
    keys = shape.num_key_value_heads * shape.head_width
    # saved for the backward pass: in every layer keys and values, spread out over all query heads, ...
    attended = 2 * BF16 * queries * (prompt_tokens + SLOT_AND_ANSWER)
    # ... and for every token of slot and answer the inputs of norms and of what is not linear
    norms = 14 * shape.width if shape.family == "qwen2" else 10 * shape.width + 7.3 * (queries + keys)
    saved = SLOT_AND_ANSWER * (norms + 6 * shape.mlp_width)
    states = referents * SENDER_TOKENS * shape.width * FP32
    reading = READ_AT_ONCE * SENDER_TOKENS * (shape.num_layers + 1) * shape.width * BF16
    return Estimate(
        weights=BF16 * shape.num_parameters,
        contexts=2 * rows * prompt_tokens * cached,  # what was read, and a copy that goes on
        activations=shape.num_layers * rows * (attended + saved),
        sender=max(2 * states, states + reading),
        validation=validation_episodes * prompt_tokens * cached,
    )
