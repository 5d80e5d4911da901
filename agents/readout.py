"""How a receiver's choice is read off its frozen model: `@register_readout("name")` on a class of one file.

The file stands in agents/readouts/, or in an installed package with an entry point of the group
`parley.readouts`; `--readout` names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeVar

from jaxtyping import Bool, Float, Int
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.agents.player import ReceiverSettings
from parley.agents.prompts import Wording
from parley.channels.receiver_input import ReceiverInput
from parley.plugins.names import unknown
from parley.plugins.registry import Registry

if TYPE_CHECKING:
    from parley.agents.context import Context
    from parley.agents.receiver import Receiver

Among = Literal["choices", "vocabulary"]
R = TypeVar("R", bound="type[Readout]")


class Answers(NamedTuple):
    """What B receivers answer, with gradient to what they were given.

    Attributes:
        logits: log-odds of the N choices, float32.
        read: what they were made of, for `Readout.nll`, one row an answer.
    """

    logits: Float[Tensor, "B N"]
    read: Float[Tensor, "B R"]


class Choices(NamedTuple):
    """The texts of the choices of B receivers, where a readout scores them.

    Attributes:
        ids: token ids, padded on the right.
        counted: which of them are no padding.
        baseline: what is subtracted from each choice's score, in nats.
    """

    ids: Int[Tensor, "B N L"]
    counted: Bool[Tensor, "B N L"]
    baseline: Float[Tensor, "B N"]


class AnswerCost(NamedTuple):
    """What it takes to read one answer, beside hearing the message.

    Attributes:
        branches: tokens of the choices that are run behind the message, padding included.
        rows: of the output layer, that are multiplied for the log-odds of the choices; of a choice of several
            tokens, those of each.
        nll_rows: that are multiplied besides, for the nll among all that could be said.
        again: whether the products with `rows` are made a second time on the way back.
    """

    branches: float
    rows: float
    nll_rows: int = 0
    again: bool = False


class Readout(ABC):
    """Reads choices off one frozen model.

    Args:
        lm: the model.
        settings: how it is asked.
        neutral: messages that say nothing about the episodes played, for calibration.

    Raises:
        ValueError: if the model's tokenizer does not allow it, or a setting is not one of this readout's.

    Attributes:
        name: set by `register_readout`.
        most_choices: N at most; None without a bound.
        wordings: the ways to ask, by name; the first is the default.
        calibrates: whether scores can be calibrated; then `Answers.read` holds them as they were before.
    """

    name: ClassVar[str]
    most_choices: ClassVar[int | None] = None
    wordings: ClassVar[Mapping[str, Wording]]
    calibrates: ClassVar[bool] = False

    def __init__(self, lm: FrozenLM, settings: ReceiverSettings, neutral: Sequence[str] = ()) -> None:
        if settings.wording not in self.wordings:
            raise unknown(f"{self.name} wording", settings.wording, self.wordings)
        if settings.calibration != "none" and not self.calibrates:
            raise ValueError(
                f"calibration must be none for readout {self.name!r}, which has none, "
                f"got {settings.calibration!r}"
            )
        self.lm, self.settings, self.neutral = lm, settings, list(neutral)
        self.wording = self.wordings[settings.wording]

    @abstractmethod
    def prompt(self, options: Sequence[str]) -> str:
        """The receiver's turn about N choices, with the slot's mark where the message stands."""

    @abstractmethod
    def reply(self, options: Sequence[str], choice: int) -> str:
        """The words in which a solved example answers."""

    def choices(
        self, receiver: Receiver, context: Context, options: Sequence[Sequence[str]]
    ) -> Choices | None:
        """What is kept of the choices' texts beside the context; None if they are not scored."""
        return None

    @abstractmethod
    def answer(self, receiver: Receiver, context: Context, receiver_input: ReceiverInput) -> Answers:
        """Read B = G * M answers behind what G receivers have read; see `Receiver.choose`."""

    @abstractmethod
    def answer_uncached(
        self, receiver: Receiver, options: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Answers:
        """The same in full passes over B prompts: the plain reference."""

    @abstractmethod
    def nll(self, answers: Answers, choices: Int[Tensor, " B"], among: Among) -> Float[Tensor, " B"]:
        """-log p of B choices, in nats: among the N choices alone, or among all that could be said."""

    @abstractmethod
    def answer_cost(self, options: Sequence[Sequence[str]], among: Among, num_tokens: int) -> AnswerCost:
        """What reading an answer takes; the mean over B receivers that read their choices together.

        Args:
            options: what they choose among.
            among: of the nll.
            num_tokens: rows of the output layer.
        """


READOUTS: Registry[type[Readout]] = Registry("readout", "parley.readouts", folder="parley.agents.readouts")


def register_readout(name: str) -> Callable[[R], R]:
    """Class decorator that makes a readout known by name.

    Raises:
        ValueError: if another class has the name already.
    """

    def add(readout: R) -> R:
        READOUTS.register(name)(readout)
        readout.name = name
        return readout

    return add
