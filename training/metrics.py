"""What is logged of every training beside its objectives, by name."""

from __future__ import annotations

from typing import TypedDict


class StepMetrics(TypedDict, total=False):
    """Of a step: losses in nats, `success` from 0 to 1, `seconds` of all steps so far."""

    step: int
    loss: float
    success: float
    grad_norm: float
    learning_rate: float
    seconds: float


class ValidationMetrics(TypedDict, total=False):
    """Of a validation; see `Validation.play` and `observe`."""

    validation_success: float
    nll_normal: float
    nll_shuffle: float
    nll_swap: float
    nll_null: float
    prefix_cosine: float
    prefix_rank: float
    norm_ratio: float
    perplexity: float


METRICS = StepMetrics.__annotations__.keys() | ValidationMetrics.__annotations__.keys()
