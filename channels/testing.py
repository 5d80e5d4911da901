"""`check_channel`: what every channel owes, on synthetic utterances, for those who write one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from parley.channels.base import Channel, ModelInterface, NeedsModelsError, Scene, Utterance
from parley.channels.contract import BrokenError, Subject
from parley.channels.contract import ContractError as ContractError
from parley.channels.promises import PROMISES
from parley.channels.registry import channel_class

ENDS = ModelInterface(state_width=24, num_positions=12, embedding_width=20, embedding_norm=1.5)
NUM_UTTERANCES, NUM_CANDIDATES = 32, 5
WORDS = ("red", "green", "tiny", "huge", "metal", "cube", "ball", "<|im_end|>")
MADE = "can_be_made"


@dataclass(frozen=True, kw_only=True)
class ContractReport:
    """What is known of a channel that breaks no promise.

    Attributes:
        checked: names of the promises that it keeps.
        unchecked: why the others could not be checked, by name.
    """

    checked: tuple[str, ...]
    unchecked: Mapping[str, str]


def check_channel(
    channel: str | type[Channel] | Channel, seed: int = 0, interface: ModelInterface = ENDS
) -> ContractReport:
    """Check all that a channel promises, on a copy of it; `parley.channels.promises` says what that is.

    Args:
        channel: what to check; a name or class is made with its default settings.
        seed: of initial weights and utterances; torch's own generator stays as it is.
        interface: between which a name or class is made. Where it has no models, what needs them is not
            checked; a channel that is made already keeps its own.

    Raises:
        ContractError: at the first promise that is broken, which includes whatever the channel raises.
        ValueError: if the name is unknown.
    """
    kind = channel_class(channel) if isinstance(channel, str) else channel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            made = _keep(MADE, lambda: _make(kind, interface))
            utterance = _keep(MADE, lambda: _utterance_for(made))
        except NeedsModelsError as error:
            return ContractReport(checked=(), unchecked=dict.fromkeys([MADE, *PROMISES], str(error)))
        subject, unchecked = Subject(made, utterance, np.random.default_rng(seed)), dict[str, str]()
        for name, check in PROMISES.items():
            made.eval()
            try:
                _keep(name, lambda check=check: check(subject))  # type: ignore[misc]
            except NeedsModelsError as error:
                unchecked[name] = str(error)
    checked = tuple(name for name in (MADE, *PROMISES) if name not in unchecked)
    return ContractReport(checked=checked, unchecked=unchecked)


def _keep(promise: str, work: Callable[[], Any]) -> Any:
    """What some work of the channel's comes to.

    Raises:
        ContractError: if it breaks the promise, or anything is raised.
        NeedsModelsError: if it cannot be done without models.
    """
    try:
        return work()
    except NeedsModelsError:
        raise
    except BrokenError as error:
        raise ContractError(promise, str(error)) from None
    except (Exception, SystemExit) as error:
        raise ContractError(promise, f"{type(error).__name__}: {error}") from error


class _NoModels:
    """Stands where the models would: whoever looks at them is told that there are none."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsModelsError


def _make(kind: type[Channel] | Channel, interface: ModelInterface) -> Channel:
    if not isinstance(kind, type):
        return deepcopy(kind)
    if interface.models is None:
        interface = replace(interface, models=_NoModels())
    return kind(kind.Config(), interface)


def _utterance_for(channel: Channel) -> Utterance:
    """An utterance as a sender hands it over: where the channel is, and with a scene if it is told one."""
    found = synthetic_utterance(channel.interface, width=channel.state_width)
    states, mask = found.states.to(channel.device), found.mask.to(channel.device)
    scene = found.scene if channel.sees_scene else None
    return Utterance(found.texts, states, mask, scene)


def synthetic_utterance(
    interface: ModelInterface, batch: int = NUM_UTTERANCES, width: int | None = None
) -> Utterance:
    """Utterances of differing words, states, lengths and scenes, from torch's generator.

    Args:
        interface: how many positions there are.
        batch: B.
        width: of the states, by default the sender's own.
    """
    positions = interface.num_positions
    texts = _texts(batch)
    mask = torch.arange(positions) < torch.randint(1, positions + 1, (batch, 1))
    states = torch.randn(batch, positions, width or interface.state_width) * mask[..., None]
    scene = Scene([_texts(NUM_CANDIDATES) for _ in texts], torch.randint(NUM_CANDIDATES, (batch,)))
    return Utterance(texts, states, mask, scene)


def _texts(number: int) -> list[str]:
    picks = torch.randint(len(WORDS), (number, 4)).tolist()
    return [" ".join(WORDS[pick] for pick in row) for row in picks]
