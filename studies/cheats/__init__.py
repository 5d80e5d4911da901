"""Channels that cheat, are careless or are honest, and what Gate 1 must make of each.

`python -m studies.cheats` plays them all and writes docs/results/cheats.md. Each file holds one kind; every
channel says in one sentence what it tries, and in its decorator what it must come to.
"""
