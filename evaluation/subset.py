"""Communication-matters: does the message help where silence fails?

The subset is conditioned on silence failing, so silence scores 0 there by construction and the rate compares
with no other figure: it says how many lost episodes the message saves, and is not evidence for the gate.
"""

from evaluation.statistics import Proportion, wilson
from evaluation.tally import ChannelTally, Tally, pair

CAVEAT = (
    "Conditioned: these are the episodes in which silence fails, so silence scores 0 here by construction. "
    "Even a receiver that guesses afresh succeeds in some of them. Read it as how many lost episodes the "
    "message saves; the gate does not use it."
)


def communication_matters(tally: Tally, channel: ChannelTally, confidence: float) -> Proportion | None:
    """Success of a channel in the episodes in which silence fails (conditioned on that failure).

    Selection and comparison use the same draw of silence: the subset where null or silence failed has null or
    silence at 0 by construction, whatever the message is worth.

    Args:
        tally: the run, with silence.
        channel: a channel of it.
        confidence: nominal coverage of the interval.

    Returns:
        Normal's success in the subset; None if silence or normal was not played, or if no episode that both
        played is one in which silence fails.
    """
    normal = channel.arms.get("normal")
    if normal is None or tally.p0 is None:
        return None
    with_message, without = pair(normal, tally.p0)
    where_silence_fails = with_message[~without]
    if not len(where_silence_fails):
        return None
    return wilson(int(where_silence_fails.sum()), len(where_silence_fails), confidence=confidence)
