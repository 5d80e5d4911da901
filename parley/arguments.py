"""Command lines as settings: built from dataclasses; no flag that is given twice drops what it said first."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr
from dataclasses import is_dataclass
from io import StringIO
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from parley.exit_codes import Ended, ExitCode, is_usage, refuse

Settings = TypeVar("Settings")
FLAG = re.compile(r"--[A-Za-z][\w.-]*")
HELP = ("-h", "--help")


def parse_arguments(
    kind: type[Settings], arguments: Sequence[str], description: str | None, prog: str
) -> Settings:
    """Read a command line into settings; the flags of settings within settings have no prefix.

    Args:
        kind: the dataclass of all flags, or a union of such, one a subcommand.
        arguments: what stands behind the command's name.
        description: what the command does, for `--help`.
        prog: the command's name.

    Raises:
        ValueError: if a flag of a single value is given twice.
        Ended: after `--help`, or if something else is wrong, which was said.
    """
    given, told = unite(arguments, list_flags(kind)), StringIO()
    try:
        with redirect_stderr(told):
            return tyro.cli(
                kind, args=given, description=description, config=(tyro.conf.OmitArgPrefixes,), prog=prog
            )
    except SystemExit as end:  # tyro's own, unless a plug-in's settings raised it
        if (refusal := _refusal(end)) is not None:
            told = StringIO()
            raise Ended(refuse(refusal)) from None
        asked = not end.code and not set(HELP).isdisjoint(given)
        if asked or end.code == ExitCode.USAGE:
            raise Ended(end.code) from None
        raise
    finally:
        sys.stderr.write(told.getvalue())


def _refusal(end: SystemExit) -> BaseException | None:
    """The error by which settings refused a value, of which tyro makes a page."""
    cause = end.__context__
    while cause is not None and not is_usage(cause):
        cause = cause.__context__
    return cause


class _Given(NamedTuple):
    """A flag as it was typed, and the words behind it."""

    name: str
    words: list[str]


def unite(arguments: Sequence[str], lists: Collection[str]) -> list[str]:
    """A command line in which each flag stands once.

    Args:
        arguments: the command line.
        lists: flags of lists, without `--`: the values of all their occurrences count.

    Raises:
        ValueError: if another flag is given twice, or together with its opposite.
    """
    found: list[_Given] = []
    first: dict[str, _Given] = {}
    for given in _split(arguments):
        known = first.setdefault(given.name, given) if given.name else given
        if known is given:
            found.append(given)
        elif given.name in lists:
            _, equals, value = given.words[0].partition("=")
            known.words.extend([value] * bool(equals) + given.words[1:])
        else:
            both = " and ".join(repr(" ".join(each.words)) for each in (known, given))
            raise ValueError(f"--{given.name} must be given once, got {both}")
    return [word for given in found for word in given.words]


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value of a flag, which must be known before the other flags are; None if it is not given.

    Args:
        flag: without `--`.
        arguments: the command line.
    """
    for given in _split(arguments):
        if given.name == flag:
            _, equals, value = given.words[0].partition("=")
            return value if equals else next(iter(given.words[1:]), None)
    return None


def _split(arguments: Sequence[str]) -> list[_Given]:
    """The words before the first flag, under no name, then each flag with the words behind it.

    `--num_candidates` is `--num-candidates`, and `--no-resume` is `--resume`, as tyro has it.
    """
    found = [_Given("", [])]
    for word in arguments:
        if flag := FLAG.match(word):
            name = flag.group().removeprefix("--").replace("_", "-").removeprefix("no-")
            found.append(_Given(name, []))
        found[-1].words.append(word)
    return found


def list_flags(kind: Any) -> set[str]:
    """The flags, without `--`, that take any number of values.

    Args:
        kind: a dataclass, whose dataclasses are looked through too, or a union of them.
    """
    if get_origin(kind) in (Annotated, Union, UnionType):
        return set().union(*map(list_flags, get_args(kind)))
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return set()
    hints = get_type_hints(kind)
    return {name.replace("_", "-") for name, hint in hints.items() if _is_list(hint)}.union(
        *map(list_flags, hints.values())
    )


def _is_list(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(map(_is_list, get_args(hint)))
    return get_origin(hint) in (list, set, frozenset, Sequence) or get_args(hint)[1:] == (...,)
