"""The kinds of files that Parley reads, each as a command reads it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from parley.agents.language_model import FrozenLM
from parley.agents.model_files import POCKET_FOLDER
from parley.agents.pair import Pair
from parley.agents.player import Profile, profile_json, read_profile
from parley.agents.sender_cache import KeptStates, KeptWords
from parley.channels.base import ChannelConfig
from parley.channels.checkpoint import load_channel
from parley.channels.registry import channel_class
from parley.envs.worlds import find_world
from parley.evaluation.admission.trials_file import TrialsFile
from parley.evaluation.playing.marked_records import cut_back_episodes, marks_file
from parley.evaluation.playing.run_folder import EPISODES_FILE, prepare_folder, was_sequential
from parley.evaluation.records import read_records
from parley.evaluation.records.beside import RUN_FILE
from parley.training.config import TrainConfig
from parley.training.log import METRICS_FILE, STATE_FILE, read_metrics
from parley.training.run import CONFIG_FILE, check_folder, parse
from parley.training.state import load_state
from parley.training.trainer import CHECKPOINT_FILE, Trainer
from studies.faults.cases import TRAIN, WORLD_FILE
from studies.faults.flips import Kind, Read

PROBE = "a small red cube"


def bits_of(module: torch.nn.Module) -> str:
    """A digest of all that a module holds."""
    digest = sha256()
    for name, tensor in module.state_dict().items():
        digest.update(
            name.encode() + tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def all_kinds(root: Path) -> list[Kind]:
    """Every kind, with files of the uncut runs under `root` and some that are made for it."""
    world = find_world(str(root / WORLD_FILE))
    name, codec, config = parse([*TRAIN[1:-1], str(root / WORLD_FILE), "--folder", str(root / "whole-train")])
    pair = Pair.load(config.models, world, config.find_game(world, "train"))
    return [
        *training_kinds(root / "whole-train", name, codec, config, pair),
        *gate_kinds(root / "whole-gate1"),
        *model_kinds(root),
        profile_kind(root),
        trials_kind(root),
        world_kind(root),
        *cache_kinds(root),
    ]


def training_kinds(
    folder: Path, name: str, codec: ChannelConfig, config: TrainConfig, pair: Pair
) -> list[Kind]:
    """Checkpoint, state, configuration and log."""
    trainer = Trainer(channel_class(name)(codec, pair.interface), pair, config, folder)
    record = config.record(name, codec) | {"models": pair.fingerprints}

    def checkpoint() -> Read:
        channel = load_channel(folder / CHECKPOINT_FILE, pair.interface, pair.fingerprints)
        return Read((asdict(channel.config), bits_of(channel)))

    def state() -> Read:
        notes = load_state(folder / STATE_FILE, trainer.trainable, trainer.optimizer)
        return Read((notes, bits_of(trainer.trainable), str(trainer.optimizer.state_dict())))

    def settings() -> Read:
        return Read(check_folder(folder, record, resume=True))

    return [
        Kind("checkpoint", [folder / CHECKPOINT_FILE], checkpoint),
        Kind("training state", [folder / STATE_FILE], state),
        Kind(
            "config.json",
            [folder / CONFIG_FILE],
            lambda: Read(check_folder(folder, record, True)),
            (str(folder),),
        ),
        Kind("metrics.jsonl", [folder / METRICS_FILE], lambda: Read(read_metrics(folder))),
    ]


def gate_kinds(folder: Path) -> list[Kind]:
    """Episodes with their marks, and what defines them."""
    episodes, defined = folder / EPISODES_FILE, folder / RUN_FILE
    definition = json.loads(defined.read_text())
    del definition["sha256"]

    num_records = sum(1 for _ in read_records(episodes))

    def records() -> Read:
        cut_back_episodes(episodes)
        found = list(read_records(episodes))
        return Read(found, "" if len(found) == num_records else "played again")

    def run() -> Read:
        prepare_folder(folder, definition, resume=True)
        return Read(was_sequential(episodes))

    return [
        Kind("episodes.jsonl", [episodes, marks_file(episodes)], records, (EPISODES_FILE, "episodes.marks")),
        Kind("run.json", [defined], run, (str(folder),)),
    ]


def model_kinds(root: Path) -> list[Kind]:
    """The embedded model's folder, and one of a user's that does not say what it was."""
    embedded, own = root / "embedded", root / "own"
    for folder in (embedded, own):
        shutil.copytree(POCKET_FOLDER, folder, dirs_exist_ok=True)
    (own / "fingerprint.txt").unlink()

    def read(folder: Path) -> Read:
        lm = FrozenLM(str(folder))
        ids, mask = lm.left_pad([lm.encode(lm.render(PROBE)), lm.encode_plain(PROBE)])
        with torch.no_grad():
            logits = lm.model(input_ids=ids, attention_mask=mask.long()).logits
        said = lm.tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)
        return Read((ids.tolist(), said, logits.sum().item()), lm.fingerprint)

    def files(folder: Path) -> list[Path]:
        return [path for path in sorted(folder.iterdir()) if path.suffix != ".md"]

    return [
        Kind("embedded model", files(embedded), lambda: read(embedded), (str(embedded),)),
        Kind("a user's model folder", files(own), lambda: read(own), (str(own),)),
    ]


def profile_kind(root: Path) -> Kind:
    """A player profile."""
    path = root / "player.json"
    path.write_text(json.dumps(profile_json(Profile(models={"sender": "a", "receiver": "b"})), indent=2))
    return Kind("player profile", [path], lambda: Read(read_profile(path)))


def trials_kind(root: Path) -> Kind:
    """What an admission has tried so far."""
    path, settings = root / "player.trials.jsonl", {"episodes": 60}
    file = TrialsFile(path, settings)
    for number in range(8):
        file.outcome(f"trial {number}", lambda: {"success": 0.125, "shots": [1, 2]})

    def read() -> Read:
        kept, anew = TrialsFile(path, settings), list[int]()
        outcomes = [kept.outcome(f"trial {n}", lambda: anew.append(1)) for n in range(8)]
        return Read(outcomes, "tried anew" if anew else "")

    return Kind("admission trials", [path], read)


def world_kind(root: Path) -> Kind:
    """A world file, whose name tells its content."""
    path = root / "other.jsonl"
    path.write_bytes((root / WORLD_FILE).read_bytes())

    def read() -> Read:
        world = find_world(str(path))
        described = [world.describe(row) for row in world.referents("train")]
        return Read(described, world.name)

    return Kind("world file", [path], read)


def cache_kinds(root: Path) -> list[Kind]:
    """What a sender has said and read: a damaged file is read anew, with a line that names it."""
    words, device = {n: f"a red cube {n}" for n in range(9)}, torch.device("cpu")
    states = {n: torch.randn(3, 4, generator=torch.Generator().manual_seed(n)) for n in range(9)}
    KeptWords(root / "cache", "words", {}).add(words)
    KeptStates(device, root / "cache", "states", {}).add(states)

    def read() -> Read:
        found: dict[str, Any] = {"words": dict(KeptWords(root / "cache", "words", {}))}
        kept = KeptStates(device, root / "cache", "states", {})
        found["states"] = {index: rows.tolist() for index, rows in kept.items()}
        if {len(part) for part in found.values()} != {9}:
            return Read(None, "read anew")
        return Read(found)

    return [Kind("sender cache", sorted((root / "cache").rglob("*.*")), read)]
