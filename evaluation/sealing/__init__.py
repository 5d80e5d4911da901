"""Channels out of the judge's reach: each runs in two processes, joined by the bytes of its messages.

The sending end gets what the sender says and answers with bytes; the receiving end gets bytes and answers
with what a receiver is to get. Neither knows target, candidates or condition, and no code of theirs runs in
the judge. docs/security.md says what that excludes and what it cannot.
"""

from parley.evaluation.sealing.breach import Breach as Breach
from parley.evaluation.sealing.sealed import SealedChannel as SealedChannel
