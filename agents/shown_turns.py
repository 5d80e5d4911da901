"""Solved examples as earlier turns of a chat: every question stands behind them, and they are read once."""

from __future__ import annotations

from collections.abc import Sequence

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.prompts import SLOT, Turn, cut_at_slot


class ShownTurns:
    """Earlier turns, rendered up to where the next question begins.

    Args:
        lm: the frozen model.
        turns: each a question and its answer; with none nothing is shown.

    Attributes:
        tokens: of all that is shown.
    """

    def __init__(self, lm: FrozenLM, turns: Sequence[Turn]) -> None:
        self._lm, self._turns = lm, turns
        self._text = cut_at_slot(lm.render(SLOT, turns)).before if turns else ""
        self.tokens = lm.encode(self._text)

    def behind(self, content: str) -> str:
        """A question as it is rendered behind them, up to where its answer begins.

        Raises:
            ModelError: if the chat template renders them differently before this question.
        """
        rendered = self._lm.render(content, self._turns)
        if not rendered.startswith(self._text):
            raise ModelError(
                f"model {self._lm.name!r} has a chat template that renders earlier turns differently before "
                f"another question, so solved examples cannot be read once for all episodes; set --shots 0"
            )
        return rendered.removeprefix(self._text)
