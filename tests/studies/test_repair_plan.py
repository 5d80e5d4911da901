"""Every task of the study is a command line that exists, once."""

import pytest

from parley.channels.registry import channel_class
from parley.training.presets import find_preset
from parley.training.run import parse
from studies.repair_plan import CHANGES, OMISSIONS, parts
from studies.tasks import Training

TASKS = [task for rounds in parts().values() for tasks in rounds for task in tasks]
TRAININGS = {task.flags: task for task in TASKS if isinstance(task, Training)}


@pytest.mark.parametrize("flags", TRAININGS, ids=" ".join)
def test_every_training_s_flags_are_understood(flags):
    name, codec, config = parse([*flags, "--seed", "3"])
    assert config.seed == 3
    assert isinstance(codec, channel_class(name).Config)


def test_no_two_tasks_share_a_folder(tmp_path):
    folders = [task.folder(tmp_path) for task in TASKS]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ("preset", "variants"), [("original", CHANGES), ("default", OMISSIONS)], ids=["changes", "omissions"]
)
def test_a_variant_changes_what_it_says_and_no_two_are_alike(preset, variants):
    parsed = {name: parse(["--preset", preset, *flags]) for name, flags in variants.items()}
    assert len({str(row) for row in parsed.values()}) == len(variants)
    train_defaults = find_preset(preset)
    unchanged = [
        name
        for name, (channel, _, config) in parsed.items()
        if (channel, config.objectives) == (train_defaults.channel, train_defaults.training.objectives)
        and name not in ("nothing changed",)
        and variants[name] == ()
    ]
    assert unchanged == []


def test_seeds_are_asked_for_in_rounds_and_five_where_five_are_promised():
    plan = parts()
    assert [task.seed for task in plan["failure"][0]] == [0, 1, 2, 3, 4]
    assert [task.seed for task in plan["repaired"][0]] == [0, 1, 2, 3, 4]
    for part in ("rate", "change", "omission"):
        assert len(plan[part]) == 3
        for number, tasks in enumerate(plan[part]):
            assert {task.seed for task in tasks} == {number}, part


def test_the_rates_run_from_1_to_32_bits():
    bits = set()
    for task in parts()["rate"][0]:
        if isinstance(task, Training):
            name, codec, _ = parse([*task.flags])
            if name == "latent_vq":
                bits.add(codec.k * (codec.codebook_size - 1).bit_length())
    assert {1, 2, 3, 12, 32} <= bits
