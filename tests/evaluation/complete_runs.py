"""Runs whose records are complete, from experiments whose truth is known, and what a page is read with."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np

from parley.evaluation.records import EpisodeRecord
from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.page import render_html
from parley.evaluation.results import build_results
from studies.simulated import CHANNEL, Truth, records_of, simulate

VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})
UNDERSTOOD, PRIMED, GUESSED = Truth.of_success(0.9), Truth.of_lift(0.15), Truth.of_success(0.2)
FIVE = {"num_candidates": 5}
HOSTILE = '<script>alert(1)</script>"onload="x'


@cache
def complete(
    truth: Truth = UNDERSTOOD, n: int = 60, *, channel: str = "latent_vq", seed: int = 0
) -> list[EpisodeRecord]:
    """Records with every field, the candidates in words beside silence; the same list each time."""
    experiment = simulate(truth, n, np.random.default_rng(seed))
    return list(_named(records_of(experiment, truth.num_candidates), channel))


def _named(records: Iterator[EpisodeRecord], channel: str) -> Iterator[EpisodeRecord]:
    for record in records:
        if record.channel == CHANNEL:
            yield replace(record, channel=channel)
        elif record.condition == "normal":
            yield replace(record, candidates=candidates_of(record.episode_id))
        else:
            yield record


def candidates_of(episode_id: int) -> list[str]:
    """Five candidates whose words tell episode and place."""
    return [f"thing {episode_id}-{place}" for place in range(5)]


def without(records: list[EpisodeRecord], *names: str) -> list[EpisodeRecord]:
    """The same records, these fields unknown."""
    return [replace(record, **dict.fromkeys(names)) for record in records]


CODES = {
    "num_referents": 2, "distinct_messages": 1, "topographic_similarity": None, "prefix": None,
    "codes": {
        "codebook_size": 2, "perplexity": 1.0, "in_use": 0.5, "slot_perplexity": [1.0], "slot_in_use": [0.5],
        "attributes": ["<size>"], "nmi": [[None]], "nmi_by_chance": [[None]],
    },
    "atlas": "atlas-latent_vq.png", "receiver_flops": 1.28e8,
}  # fmt: skip


class Page(HTMLParser):
    """A page as its elements: strict where browsers are lenient."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes {self._open[-1]}"
        self._open.pop()

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What is read, white space collapsed."""
        read = "".join(text for tag, text in self.texts if tag not in ("script", "style"))
        return " ".join(read.split())


def page_of(records, provenance=FIVE, **options):
    """The page of records, with six scenes at most."""
    results = build_results(records, provenance, **options)
    return Page(render_html(results, gather_gallery(records, results, 6)))
