"""How a receiver's choice is read off its frozen model: `@register_readout("name")` on a class of one file.

The file stands in agents/readouts/, or in an installed package with an entry point of the group
`parley.readouts`; `--readout` names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeVar

from jaxtyping import Float, Int
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.channels.receiver_input import ReceiverInput
from parley.plugins.registry import Registry

if TYPE_CHECKING:
    from parley.agents.receiver import Context, Receiver

Among = Literal["choices", "vocabulary"]
DEFAULT_READOUT = "label"
R = TypeVar("R", bound="type[Readout]")


class Answers(NamedTuple):
    """What B receivers answer, with gradient to what they were given.

    Attributes:
        logits: log-odds of the N choices, float32.
        states: the final states of which they were read, where a readout reads one state a message.
    """

    logits: Float[Tensor, "B N"]
    states: Float[Tensor, "B D"] | None = None


class Readout(ABC):
    """Reads choices off one frozen model.

    Args:
        lm: the model.

    Raises:
        ValueError: if the model's tokenizer does not allow it.

    Attributes:
        name: set by `register_readout`.
        most_choices: N at most; None without a bound.
    """

    name: ClassVar[str]
    most_choices: ClassVar[int | None] = None

    def __init__(self, lm: FrozenLM) -> None:
        self.lm = lm

    @abstractmethod
    def prompt(self, options: Sequence[str]) -> str:
        """The receiver's turn about N choices, with the slot's mark where the message stands."""

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

    @classmethod
    def nll_rows(cls, among: Among, num_tokens: int) -> int:
        """Rows of the output layer that the nll of one answer multiplies, beside those of the choices."""
        return 0 if among == "choices" else num_tokens


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
