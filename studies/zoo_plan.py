"""What was expected of each channel, written before the runs of record.

The training-free ones had been seen in a first look: cipher right in 29 of 40 episodes, activation in 12,
oracle_prefix in 35.
"""

from __future__ import annotations

from typing import Literal

Expected = Literal["pass", "fail"]

ORDER = (
    "text",
    "text_budget",
    "cipher",
    "activation",
    "kv",
    "lora_encoder",
    "latent",
    "latent_vq",
    "latent_rvq",
    "latent_fsq",
    "latent_gumbel",
    "symbols",
    "oracle_prefix",
    "index",
    "priming",
    "silence",
)

EXPECTED: dict[str, Expected] = {
    "text": "pass",
    "cipher": "pass",  # nearly the words themselves
    "latent": "pass",
    "latent_vq": "pass",
    "latent_rvq": "pass",
    "latent_fsq": "pass",
    "latent_gumbel": "pass",
    "lora_encoder": "pass",
    "oracle_prefix": "pass",  # it knows the answer and the receiver
    "index": "pass",  # it knows the answer: a pass that means nothing
    "priming": "fail",  # it must: it never sees the message
}
"""Of the others nothing was expected: whether a patched state, a projected cache or symbols trained by this
recipe say anything to this receiver is what the table is to tell."""


def expectation(channel: str) -> str:
    """What was expected, or that nothing was."""
    return EXPECTED.get(channel, "open")
