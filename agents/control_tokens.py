"""A tokenizer's control tokens: they act in a chat template's own words, and are plain characters in others.

The words that a template is rendered around are quoted before: each control token in them is replaced by its
number between two private characters. The tokenizer's twin, whose control tokens have other names, then
reads the template's as control tokens and what was quoted as characters.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from tokenizers import AddedToken, Tokenizer

_QUOTE, _END, _ALIAS = "\U000f0000", "\U000f0001", "\U000f0002"


class ControlTokens:
    """The control tokens of one tokenizer.

    Args:
        backend: the tokenizer, as the package tokenizers has it.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        added: dict[int, AddedToken] = backend.get_added_tokens_decoder()
        self._tokens = {token.content: (number, token) for number, token in added.items()}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._spelt = re.compile(f"{_QUOTE}(?P<number>[0-9]+){_END}|{self._any.pattern}")

    def quote(self, words: str) -> str:
        """Words in which no control token acts.

        Raises:
            ValueError: if they hold a character by which control tokens are quoted.
        """
        if any(mark in words for mark in (_QUOTE, _END, _ALIAS)):
            raise ValueError(
                f"what a model is told must not hold U+F0000 to U+F0002, which mark its control tokens, "
                f"got {words!r}"
            )
        return self._any.sub(lambda found: f"{_QUOTE}{self._tokens[found.group()][0]}{_END}", words)

    def is_quoted(self, text: str) -> bool:
        """Whether something in a rendered text was quoted."""
        return _QUOTE in text

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered text: control tokens act, but for those that were quoted."""
        twin, number_of = self._twin
        spelt = self._spelt.sub(self._respell, text)
        return [number_of.get(token, token) for token in twin.encode(spelt, add_special_tokens=False).ids]

    def _respell(self, found: re.Match[str]) -> str:
        """What was quoted as it was; what acts by the name that the twin has for it."""
        if (number := found["number"]) is not None:
            return str(self._backend.id_to_token(int(number)))
        return f"{_ALIAS}{self._tokens[found.group()][0]}{_END}"

    @cached_property
    def _twin(self) -> tuple[Tokenizer, dict[int, int]]:
        """The tokenizer with its control tokens renamed, and the true number of each number there."""
        twin = Tokenizer(self._backend.model)
        for part in ("normalizer", "pre_tokenizer"):
            if (own := getattr(self._backend, part)) is not None:
                setattr(twin, part, own)
        number_of = {}
        for number, token in self._tokens.values():
            flags = {flag: getattr(token, flag) for flag in ("single_word", "lstrip", "rstrip")}
            before = twin.get_vocab_size()
            twin.add_special_tokens([AddedToken(f"{_ALIAS}{number}{_END}", normalized=False, **flags)])
            number_of[before] = number
        return twin, number_of
