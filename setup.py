"""The folders at the top are imported as parley.envs, parley.channels, ...; their packages are found here."""

from setuptools import find_packages, setup

ROOMS = ("plugins", "envs", "channels", "agents", "training", "evaluation")
FOUND = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])

setup(
    packages=["parley", *(f"parley.{package}" for package in FOUND)],
    package_dir={"parley": "parley"} | {f"parley.{room}": room for room in ROOMS},
)
