"""Player profiles: how a sender and a receiver are asked to play, chosen before any test episode is seen.

A profile is one JSON file. Those in agents/players/ are built in, by the model's name; `parley admit` writes
others, with the trials by which it chose. A digest tells whether a file was edited since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from parley.agents.examples import MOST_SHOTS
from parley.agents.model_files import ModelError
from parley.channels.base import check_range

if TYPE_CHECKING:
    from parley.agents.pair import ModelConfig

Calibration = Literal["none", "content_free"]
PLAYERS_FOLDER = Path(__file__).parent / "players"
FORMAT = "parley.player/1"
DEFAULT_PLAYER = "default"


@dataclass(frozen=True, kw_only=True)
class SenderSettings:
    """How a sender is asked.

    Args:
        shots: solved examples that it is shown first, 0 to 4.
    """

    shots: int = 0

    def __post_init__(self) -> None:
        check_range("shots", self.shots, 0, MOST_SHOTS)


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings:
    """How a receiver is asked, and how its choice is read.

    Args:
        readout: registered name.
        wording: of its question, one of the readout's.
        calibration: what is subtracted from the score of a candidate: nothing, or its mean score under
            messages that say nothing about it; `none` where a readout has no calibration.
        shots: solved examples that it is shown first, 0 to 4.
    """

    readout: str = "label"
    wording: str = "plain"
    calibration: Calibration = "none"
    shots: int = 0

    def __post_init__(self) -> None:
        check_range("shots", self.shots, 0, MOST_SHOTS)
        if self.calibration not in get_args(Calibration):
            raise ValueError(
                f"calibration must be one of {', '.join(get_args(Calibration))}, got {self.calibration!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a pair plays.

    Args:
        sender: how the sender is asked.
        receiver: how the receiver is asked.
        examples_seed: of the solved examples and of the messages that calibrate.
        source: where it comes from, such as `built in for pocket`.
        models: SHA-256 of the models that it was made for, by role; empty if it is for any.
        admission: the trials by which it was chosen, None if there were none.
    """

    sender: SenderSettings = field(default_factory=SenderSettings)
    receiver: ReceiverSettings = field(default_factory=ReceiverSettings)
    examples_seed: int = 0
    source: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    admission: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_range("examples_seed", self.examples_seed, 0, 2**31 - 1)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides how the pair plays, as JSON: without where it comes from."""
        return {
            "sender": asdict(self.sender),
            "receiver": asdict(self.receiver),
            "examples_seed": self.examples_seed,
        }

    def check_models(self, fingerprints: Mapping[str, str]) -> None:
        """Refuse to play with other models than it was made for.

        Raises:
            ModelError: naming the role.
        """
        for role, wanted in self.models.items():
            if fingerprints[role] != wanted:
                raise ModelError(
                    f"the player profile {self.source} was made for another {role}: its fingerprint is "
                    f"{wanted[:12]}…, this one's {fingerprints[role][:12]}…; run parley admit for this pair"
                )


def find_profile(config: ModelConfig) -> Profile:
    """The profile that a configuration asks for: a file, or those built in for the models, then its flags.

    Raises:
        ValueError: if a setting is out of range.
        ModelError: if the file is not there, damaged or was edited.
    """
    if config.player is not None:
        found = read_profile(config.player)
    else:
        found = _built_in(config.sender or config.model, config.receiver or config.model)
    asked = {
        setting.name: value
        for setting in fields(ReceiverSettings)  # the sender's are among them
        if (value := getattr(config, setting.name)) is not None
    }
    if "readout" in asked and asked["readout"] != found.receiver.readout:
        # another readout has other wordings, and what was found for this one says nothing of it
        asked = {"wording": "plain", "calibration": "none"} | asked
    if not asked:
        return found
    return replace(
        found,
        sender=_changed(found.sender, asked),
        receiver=_changed(found.receiver, asked),
        source=f"{found.source}, changed by flags",
        admission=None,  # it was of other settings
    )


def read_profile(path: Path, source: str | None = None) -> Profile:
    """Read a profile.

    Args:
        path: of the JSON file.
        source: what it is called in reports; by default the file's name.

    Raises:
        ModelError: if it is not there, is no profile, or was edited.
    """
    try:
        kept = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"player profile {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"player profile {path} is damaged: {error}") from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise ModelError(f"{path} is no player profile of format {FORMAT!r}; parley admit writes them")
    if kept.get("sha256") != digest(kept):
        raise ModelError(
            f"player profile {path} was edited after parley admit wrote it; run parley admit anew"
        )
    try:
        return Profile(
            sender=SenderSettings(**kept["sender"]),
            receiver=ReceiverSettings(**kept["receiver"]),
            examples_seed=int(kept["examples_seed"]),
            source=source or path.name,
            models=dict(kept["models"]),
            admission=kept["admission"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"player profile {path} cannot be used: {error}") from error


def profile_json(profile: Profile) -> dict[str, Any]:
    """A profile as its file holds it, with the digest."""
    kept = {
        "format": FORMAT,
        **profile.settings,
        "models": dict(profile.models),
        "admission": profile.admission,
    }
    return {**kept, "sha256": digest(kept)}


def digest(kept: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object but for its own `sha256`, in hexadecimal, whatever its layout."""
    content = {name: value for name, value in kept.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _built_in(sender: str, receiver: str) -> Profile:
    speaking, listening = _profile_of(sender), _profile_of(receiver)
    if sender == receiver:
        return speaking
    # trials of the one model among its own kind say nothing of this pair
    return Profile(
        sender=speaking.sender,
        receiver=listening.receiver,
        examples_seed=listening.examples_seed,
        source=f"{speaking.source} (sender), {listening.source} (receiver)",
    )


def _profile_of(model: str) -> Profile:
    path = PLAYERS_FOLDER / f"{model}.json"
    if model == Path(model).name != DEFAULT_PLAYER and path.is_file():  # no folder
        return read_profile(path, f"built in for {model}")
    return read_profile(PLAYERS_FOLDER / f"{DEFAULT_PLAYER}.json", "the default, never tried with this model")


def _changed(settings: Any, asked: Mapping[str, Any]) -> Any:
    own = {setting.name for setting in fields(settings)}
    return replace(settings, **{name: value for name, value in asked.items() if name in own})
