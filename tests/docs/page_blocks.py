"""The blocks of docs/adding_a_channel.md, as a reader finds them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding_a_channel.md"
PACKAGE = ROOT / "examples" / "parley_channel_binary"


def blocks(language):
    """The blocks of a language, in order."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for kind, block in every if kind == language]


def commands():
    """Every line of the blocks that are typed into a shell."""
    return [line for block in blocks("bash") for line in block.splitlines()]


def channel_source():
    """The file that the page is about, and the page's only python block that registers a channel."""
    [source] = [block for block in blocks("python") if '@register("' in block]
    return source


def objective_source():
    """The only python block that registers an objective."""
    [source] = [block for block in blocks("python") if "@register_objective(" in block]
    return source
