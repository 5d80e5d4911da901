"""How channels become known."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import parley.plugins.registry
from parley import channels
from parley.channels import registry
from parley.channels.base import Channel, check_range
from parley.channels.testing import check_channel
from parley.channels.text import TextChannel

NEW_CHANNEL = '''
from parley.channels.base import Channel, TextInput
from parley.channels.registry import register
from gymnasium.spaces import Discrete


@register("{name}")
class Loud(Channel):
    """Says nothing but how loud it was."""

    def __init__(self, config, ends):
        super().__init__(config, ends)
        self.message_space = Discrete(4)

    def send(self, utterance):
        return [len(text) % 4 for text in utterance.texts]

    def receive(self, messages):
        return TextInput([str(int(message)) for message in messages])

    def message_bits(self, message):
        return 8.0
'''


@pytest.fixture
def registry_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry as in a fresh process: it has yet to look around."""
    known = registry.CHANNELS
    known.names()
    monkeypatch.setattr(known, "_known", dict(known._known))
    monkeypatch.setattr(known, "_begun", set())


def test_the_channels_that_ship() -> None:
    shipped = {"latent", "latent_fsq", "latent_gumbel", "latent_rvq", "latent_vq"}
    shipped |= {"silence", "symbols", "text", "text_budget"}
    assert shipped <= set(registry.channel_names())
    assert registry.channel_names() == sorted(registry.channel_names())
    assert registry.channel_class("text") is TextChannel
    assert TextChannel.name == "text"


@pytest.mark.usefixtures("registry_again")
def test_a_new_channel_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud.py").write_text(NEW_CHANNEL.format(name="loud"))
    monkeypatch.setattr(channels, "__path__", [*channels.__path__, str(tmp_path)])
    try:
        assert "loud" in registry.channel_names()
        check_channel("loud")
    finally:
        sys.modules.pop("parley.channels.loud", None)


@pytest.mark.usefixtures("registry_again")
def test_another_package_adds_one_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loudpackage.py").write_text(NEW_CHANNEL.format(name="loud_package"))
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("loud_package", "loudpackage:Loud", "parley.channels")
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: [point] if group == point.group else []
    )
    try:
        assert "loud_package" in registry.channel_names()
        check_channel("loud_package")
    finally:
        sys.modules.pop("loudpackage", None)


@pytest.mark.usefixtures("registry_again")
def test_a_name_is_given_once() -> None:
    with pytest.raises(
        ValueError, match=r"channel 'text' is registered already, by parley\.channels\.text\.TextChannel"
    ):

        @registry.register("text")
        class Impostor(TextChannel):
            pass

    same_name = type("TextChannel", (TextChannel,), {"__module__": "elsewhere"})
    with pytest.raises(ValueError, match="channel 'text' is registered already"):
        registry.register("text")(same_name)
    assert registry.channel_class("text") is TextChannel


@pytest.mark.usefixtures("registry_again")
def test_a_module_may_be_imported_again() -> None:
    assert registry.register("text")(TextChannel) is TextChannel


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("latent_qv", ", did you mean 'latent_vq'?"), ("txt", ", did you mean 'text'?"), ("zzz", ".")],
)
def test_an_unknown_name_lists_the_valid_ones(asked: str, hint: str) -> None:
    with pytest.raises(ValueError, match="unknown channel") as caught:
        registry.channel_class(asked)
    names = ", ".join(registry.channel_names())
    assert str(caught.value) == f"unknown channel {asked!r}{hint} The channels are: {names}"


def test_the_base_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Channel(Channel.Config(), None)  # type: ignore[abstract,arg-type]


@pytest.mark.parametrize(
    ("value", "low", "high", "message"),
    [
        (0, 1, 4, "n must be from 1 to 4, got 0"),
        (5, 1, 4, "n must be from 1 to 4, got 5"),
        (-1, 0, float("inf"), "n must be at least 0, got -1"),
        (2**31, 0, 2**31 - 1, "n must be from 0 to 2147483647, got 2147483648"),
        (float("nan"), 0, 1, "n must be from 0 to 1, got nan"),
        (1.5, 0, 1, "n must be from 0 to 1, got 1.5"),
    ],
)
def test_ranges_name_bound_and_value(value: float, low: float, high: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_range("n", value, low, high)


def test_the_bounds_themselves_are_in_range() -> None:
    check_range("n", 1, 1, 4)
    check_range("n", 4, 1, 4)
