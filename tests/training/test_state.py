"""What a training needs to go on: weights, moments, the generator, notes."""

import pytest
import torch
from torch import nn

from parley.channels.tensor_file import NotFiniteError, write_tensors
from parley.training.state import StateError, load_state, save_state


def trained(width=3):
    module = nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, width)).sum().backward()
    optimizer.step()
    return module, optimizer


def test_everything_comes_back(tmp_path):
    module, optimizer = trained()
    save_state(tmp_path / "state", module, optimizer, {"step": 7})
    expected = torch.rand(3)
    other = nn.Linear(3, 2)
    fresh = torch.optim.AdamW(other.parameters())
    torch.manual_seed(99)
    assert load_state(tmp_path / "state", other, fresh) == {"step": 7}
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(other.weight, module.weight)
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(fresh.state_dict()["state"][index][name], value)


def test_a_state_of_another_model_is_refused(tmp_path):
    save_state(tmp_path / "state", *trained(3), {})
    with pytest.raises(StateError, match="cannot be resumed"):
        load_state(tmp_path / "state", *trained(4))


@pytest.mark.parametrize("content", [b"", b"no state at all", bytes(100)])
def test_a_damaged_state_is_refused(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(StateError, match="cannot be resumed"):
        load_state(tmp_path / "state", *trained())


def test_a_cut_while_writing_leaves_the_earlier_state_whole(tmp_path, monkeypatch):
    save_state(tmp_path / "state", *trained(), {"step": 1})

    def cut(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", cut)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path / "state", *trained(), {"step": 2})
    assert load_state(tmp_path / "state", *trained()) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_channel_s_checkpoint_is_no_state(tmp_path):
    write_tensors(tmp_path / "state", {"w": torch.ones(1)}, {"format_version": 3})
    with pytest.raises(StateError, match=r"it is no saved training of format 'parley\.training/2'"):
        load_state(tmp_path / "state", *trained())


def test_what_diverged_is_not_saved(tmp_path):
    module, optimizer = trained()
    save_state(tmp_path / "state", module, optimizer, {})
    kept = (tmp_path / "state").read_bytes()
    optimizer.state[module.weight]["exp_avg"][0, 0] = float("inf")
    with pytest.raises(NotFiniteError, match=r"optimizer\.0\.exp_avg holds numbers that are not finite"):
        save_state(tmp_path / "state", module, optimizer, {})
    assert (tmp_path / "state").read_bytes() == kept
