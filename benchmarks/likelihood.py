"""The readout `likelihood` beside full passes and beside lm-evaluation-harness, on the game's own requests.

    make weights && pip install lm-eval && python -m benchmarks.likelihood

A request is a text to continue and a continuation, as `HFLM.loglikelihood` of lm-evaluation-harness takes
them: a context and a message, and a candidate. Episodes of 5 candidates under 5 messages, one about each,
make 25 requests each. Scores are compared, and requests a second, in turns.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console

from benchmarks.record import FOLDER, Cell, Goal, Record, Table, keep, settings_of
from benchmarks.timing import alternate, machine, ratio, spread
from parley.agents.command_line import ExitCode, RunError, exit_with, parse_arguments
from parley.agents.pair import ModelConfig, Pair
from parley.agents.prompts import SLOT, slot_text
from parley.agents.receiver import Receiver
from parley.channels.base import TextInput, check_range
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.envs.worlds import DEFAULT_WORLD, find_world

OURS, FULL, PEER = "tree behind what was read", "a full pass for each request", "HFLM.loglikelihood"
FASTER, SAME_AS_PEER, SAME_AS_FULL = 5.0, 1e-3, 1e-4


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig:
    """What is measured.

    Args:
        model: whose scores.
        episodes: of which the requests are made whose scores are compared, 25 each.
        timed_episodes: of these, the first that are timed.
        peer_batch: requests that lm-evaluation-harness runs side by side.
        repeats: how often each is timed, in turns; at least 5.
        threads: CPU threads.
        seed: of the episodes, from the validation split.
        docs: where the record goes.
    """

    model: str = "smollm2"
    episodes: int = 4
    timed_episodes: int = 1
    peer_batch: int = 25
    repeats: int = 5
    threads: int = 1
    seed: int = 0
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        check_range("episodes", self.episodes, 1)
        check_range("timed_episodes", self.timed_episodes, 1, self.episodes)
        check_range("peer_batch", self.peer_batch, 1)
        check_range("repeats", self.repeats, 5)
        check_range("threads", self.threads, 1, 1024)


class Requests(NamedTuple):
    """The same requests for all: candidates and messages, and the text before each continuation."""

    candidates: list[list[str]]  # one list an episode
    messages: list[list[str]]
    asked: list[tuple[str, str]]  # episode by episode, message by message, candidate by candidate


def make_requests(receiver: Receiver, config: LikelihoodConfig) -> Requests:
    """Episodes in words, each under a message about each of its candidates."""
    world = find_world(DEFAULT_WORLD)
    game = find_game(DEFAULT_GAME, world, EpisodeConfig(split="validation"))
    rng = np.random.default_rng(config.seed)
    rows = [world.options(game.draw(rng).receiver_view) for _ in range(config.episodes)]
    asked = []
    for row in rows:
        prompt = receiver.lm.render(receiver.readout.prompt(row), receiver.turns)
        asked += [(prompt.replace(SLOT, slot_text(message)), text) for message in row for text in row]
    return Requests(rows, rows, asked)


def by_tree(receiver: Receiver, requests: Requests) -> torch.Tensor:
    """Scores of all requests as the product makes them: contexts are read, messages and candidates branch."""
    with torch.no_grad():
        context = receiver.read(requests.candidates)
        told = TextInput([message for row in requests.messages for message in row])
        return receiver.answer(context, told).read.flatten()


def by_full_passes(receiver: Receiver, requests: Requests) -> torch.Tensor:
    """The same with nothing shared: every request is a row of its own."""
    with torch.no_grad():
        told = [message for row in requests.messages for message in row]
        rows = [row for row in requests.candidates for _ in row]
        return receiver.readout.answer_uncached(receiver, rows, TextInput(told)).read.flatten()


def peer(receiver: Receiver, requests: Requests, batch: int) -> Callable[[], torch.Tensor]:
    """The requests as lm-evaluation-harness scores them, with the same model in memory.

    Raises:
        RunError: if it is not installed.
    """
    try:
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
    except ImportError as error:
        raise RunError(f"lm-evaluation-harness is not there ({error}): pip install lm-eval") from error
    lm: Any = HFLM(
        pretrained=receiver.lm.model,
        tokenizer=receiver.lm.tokenizer,
        batch_size=batch,
        max_length=receiver.lm.max_length,
    )
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(requests.asked)
    ]
    return lambda: torch.tensor([score for score, _ in lm.loglikelihood(instances, disable_tqdm=True)])


def works_of(receiver: Receiver, requests: Requests, batch: int) -> dict[str, Callable[[], torch.Tensor]]:
    """What scores the requests, by name."""
    return {
        OURS: lambda: by_tree(receiver, requests),
        FULL: lambda: by_full_passes(receiver, requests),
        PEER: peer(receiver, requests, batch),
    }


def measure(config: LikelihoodConfig, console: Console) -> Record:
    """Scores once, then times in turns."""
    models = ModelConfig(
        model=config.model, readout="likelihood", calibration="none", threads=config.threads, device="cpu"
    )
    receiver = Pair.load(models, find_world(DEFAULT_WORLD)).receiver
    requests = make_requests(receiver, config)
    scores = {name: work() for name, work in works_of(receiver, requests, config.peer_batch).items()}
    some = make_requests(receiver, replace(config, episodes=config.timed_episodes))

    def tell(name: str, seconds: float) -> None:
        console.print(f"{name}: {seconds:.1f} s", soft_wrap=True)

    works = works_of(receiver, some, config.peer_batch)
    seconds = alternate(works, repeats=config.repeats, warmups=0, tell=tell)
    count = len(some.asked)
    rows: list[list[Cell]] = []
    largest, slower = {}, {}
    for name, each in seconds.items():
        apart = (scores[name] - scores[OURS]).abs().max().item()
        low, high = spread(each, seconds[OURS])
        largest[name], slower[name] = apart, ratio(each, seconds[OURS])
        rows.append([name, count / statistics.median(each), slower[name], low, high, apart])
    goals = [
        Goal("largest difference from full passes, nats", "<=", SAME_AS_FULL, largest[FULL]),
        Goal("largest difference from HFLM.loglikelihood, nats", "<=", SAME_AS_PEER, largest[PEER]),
        Goal("requests a second by those of full passes", ">=", FASTER, slower[FULL]),
        Goal("requests a second by those of HFLM.loglikelihood", ">=", FASTER, slower[PEER]),
    ]
    columns = ["scores", "requests per second", "time by the tree's", "least", "most", "apart, nats"]
    return Record(
        question="What does a likelihood cost, and is it the one that others compute?",
        machine=machine(config.threads),
        settings=settings_of(config) | {"requests": len(requests.asked), "timed_requests": count},
        tables=[Table(f"{count} requests, median of {config.repeats} repeats", columns, rows)],
        goals=goals,
    )


def main() -> int:
    """Entry point of `python -m benchmarks.likelihood`."""
    config = parse_arguments(LikelihoodConfig, sys.argv[1:], __doc__, "benchmarks.likelihood")
    torch.set_num_threads(config.threads)
    keep("likelihood", measure(config, Console()), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
