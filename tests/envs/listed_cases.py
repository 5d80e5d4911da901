"""Small worlds of listed referents, and files of them."""

import json

from parley.envs.listed_world import ListedWorld

BIRDS = [
    ("barn owl", "owls", "5"),
    ("tawny owl", "owls", "3"),
    ("little owl", "owls", "4"),
    ("rook", "crows", "4"),
    ("jay", "crows", "5"),
    ("magpie", "crows", "6"),
    ("raven", "crows", "5"),
    ("robin", "flycatchers", "5"),
    ("redstart", "flycatchers", "6"),
    ("wheatear", "flycatchers", "5"),
    ("nightingale", "flycatchers", "5"),
    ("stonechat", "flycatchers", "6"),
]
NAMES = ("bird", "family", "clutch")


def bird_world(**arguments):
    world = ListedWorld.of("birds", NAMES, BIRDS)
    return world if not arguments else ListedWorld(**{**vars_of(world), **arguments})


def vars_of(world):
    return {name: getattr(world, name) for name in ("name", "attributes", "listed")}


def bird_lines():
    return [json.dumps({"attributes": dict(zip(NAMES, bird, strict=True))}) for bird in BIRDS]


def text_lines():
    return [json.dumps({"text": f"the {name} is one of the {family}"}) for name, family, _ in BIRDS]
