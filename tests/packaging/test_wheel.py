"""The wheel: all of the rooms under one name, beside packages that are called `agents` and `channels`.

Trainings and Gate 1 of what is installed are in tests/docs/test_example_package.py.
"""

import re
import zipfile

import pytest
from clean_environment import PIP, ROOMS, ROOT, STUBS, Environment, build_wheel, stub_wheels

RANDOM_POLICY = """
from parley.envs import referential_v0
env = referential_v0.parallel_env()
env.reset(seed=0)
while env.agents:
    rewards = env.step({agent: env.action_space(agent).sample() for agent in env.agents})[1]
print(sorted(rewards), *set(rewards.values()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    return stub_wheels(tmp_path_factory.mktemp("stubs"))


def contents(wheel):
    """Bytes by name of all that is in the wheel but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def installed(environment):
    """Bytes by name of all that is in the environment's folder `parley`."""
    paths = (path for path in (environment.packages / "parley").rglob("*") if path.is_file())
    kept = (path for path in paths if path.suffix != ".pyc")
    return {path.relative_to(environment.packages).as_posix(): path.read_bytes() for path in kept}


def test_it_holds_every_file_of_the_rooms_and_nothing_else(wheel):
    """Code and data alike: what a folder holds beside its caches is part of the product."""
    places = {"parley": ROOT / "parley"} | {f"parley/{room}": ROOT / room for room in ROOMS}
    files = {
        f"{name}/{path.relative_to(place).as_posix()}": path.read_bytes()
        for name, place in places.items()
        for path in place.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert contents(wheel) == files
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"parley", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}


def test_make_links_the_rooms_that_the_wheel_holds():
    [line] = re.findall(r"^ROOMS := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(line.split()) == list(ROOMS)


def test_it_lives_and_plays_beside_agents_and_channels_of_others(wheel, stubs, tmp_path):
    """Whoever was installed first: they come before Parley, go, and come again after it."""
    environment = Environment(tmp_path)
    environment.install(*stubs)
    environment.install(wheel)
    for _ in range(2):
        assert installed(environment) == contents(wheel)
        look = (
            "import agents, channels, parley.agents as a; print(agents.theirs, channels.theirs, a.__file__)"
        )
        ours = environment.packages / "parley" / "agents" / "__init__.py"
        assert environment.run("python", "-c", look).split() == ["True", "True", str(ours)]
        environment.run("python", *PIP, "uninstall", "--yes", *STUBS)
        assert not (environment.packages / "agents").exists()
        assert installed(environment) == contents(wheel)
        environment.install(*stubs)
    played = environment.run("python", "-c", RANDOM_POLICY)
    assert re.fullmatch(r"\['receiver_0', 'sender_0'\] [01]\.0\n", played)
