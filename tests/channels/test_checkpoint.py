"""A checkpoint is exact, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from parley.channels.__main__ import main
from parley.channels.base import ModelInterface
from parley.channels.checkpoint import (
    CheckpointError,
    file_hash,
    load_channel,
    read_header,
    save_channel,
)
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.registry import channel_class, channel_names
from parley.channels.tensor_file import NotFiniteError, read_tensors, write_tensors
from parley.channels.testing import ENDS, synthetic_utterance

MODELS = {"sender": "aaa", "receiver": "bbb"}


@pytest.fixture
def trained() -> VectorQuantizedChannel:
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(VectorQuantizedConfig(k=2, codebook_size=8, latent_width=5), ENDS)
    utterance = synthetic_utterance(ENDS)
    channel.calibrate(utterance, torch.randn(9, ENDS.embedding_width))
    channel.start_quantizing(utterance)
    channel.train().relay(utterance)
    return channel.eval()


@pytest.fixture
def saved(trained: VectorQuantizedChannel, tmp_path: Path) -> Path:
    path = tmp_path / "channel.safetensors"
    save_channel(path, trained, MODELS, {"seed": 3})
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> None:
    """Change header or weights of a checkpoint in place."""
    weights, header = read_tensors(path)
    change(header, weights)
    write_tensors(path, weights, header)


def test_loading_is_exact(trained: VectorQuantizedChannel, saved: Path) -> None:
    loaded = load_channel(saved, ENDS, MODELS)
    assert isinstance(loaded, VectorQuantizedChannel)
    assert not loaded.training
    assert (loaded.config, loaded.interface) == (trained.config, trained.interface)
    ours, theirs = trained.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )
    utterance = synthetic_utterance(ENDS)
    assert torch.equal(
        trained.relay(utterance).receiver_input.vectors, loaded.relay(utterance).receiver_input.vectors
    )


TRAINABLE = [name for name in channel_names() if channel_class(name).trainable]


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_trainable_channel_can_be_saved(
    name: str, tmp_path: Path, model_interface: ModelInterface
) -> None:
    kind = channel_class(name)
    channel = kind(kind.Config(), model_interface)
    save_channel(tmp_path / "c.safetensors", channel, MODELS, {})
    loaded = load_channel(tmp_path / "c.safetensors", model_interface, MODELS)
    assert type(loaded) is kind
    assert loaded.config == channel.config
    assert all(torch.equal(a, loaded.state_dict()[n]) for n, a in channel.state_dict().items())


def test_the_header_is_read_without_the_weights(saved: Path) -> None:
    header = read_header(saved)
    assert header.channel == "latent_vq"
    assert header.config["codebook_size"] == 8
    assert header.models == MODELS
    assert header.training == {"seed": 3}
    assert header.format_version == 3


def test_saving_leaves_no_scrap_and_replaces_the_old(trained: VectorQuantizedChannel, saved: Path) -> None:
    before = file_hash(saved)
    torch.nn.init.zeros_(trained.decoder.scale_gate)
    save_channel(saved, trained, MODELS, {})
    assert file_hash(saved) != before
    assert [path.name for path in saved.parent.iterdir()] == ["channel.safetensors"]


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_hash(tmp_path / "f") == sha256(b"abc").hexdigest()


@pytest.mark.parametrize("role", ["sender", "receiver"])
def test_another_model_is_refused(saved: Path, role: str) -> None:
    with pytest.raises(
        CheckpointError, match=rf"channel\.safetensors was trained for another {role}: its fingerprint"
    ):
        load_channel(saved, ENDS, MODELS | {role: "ccc"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("state_width", 48), ("num_positions", 13), ("embedding_width", 7), ("embedding_norm", 3.0)],
)
def test_another_width_is_refused(saved: Path, name: str, value: float) -> None:
    other = replace(ENDS, **{name: value})
    with pytest.raises(CheckpointError, match=rf"was trained for {name} .*; these models' is {value}"):
        load_channel(saved, other, MODELS)


def test_the_norm_may_be_rounded_by_another_precision(saved: Path) -> None:
    loaded = load_channel(saved, replace(ENDS, embedding_norm=1.501), MODELS)
    assert loaded.interface == ENDS, "the channel stays as it was trained"


def test_a_sender_that_fills_fewer_positions_is_no_other(saved: Path) -> None:
    """Such as that of another world: the codec reads what there is."""
    loaded = load_channel(saved, replace(ENDS, num_positions=ENDS.num_positions - 5), MODELS)
    assert loaded.interface == ENDS, "the channel stays as it was trained"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match=f"no checkpoint at {path}"):
            read_header(path)


def test_a_file_that_may_not_be_read_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CheckpointError, match=rf"{saved} cannot be read: Permission denied"):
        read_header(saved)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_channel(saved, ENDS, MODELS)


def test_random_bytes_are_refused(saved: Path) -> None:
    saved.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_channel(saved, ENDS, MODELS)


def test_anothers_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    for metadata in (None, {"parley": "{no json"}, {"parley": "[]"}):
        save_file({"weight": torch.ones(2)}, path, metadata=metadata)
        with pytest.raises(CheckpointError, match="is a safetensors file, but none of Parley's"):
            load_channel(path, ENDS, MODELS)


@pytest.mark.parametrize("version", [0, 1, None, "3"])
def test_another_version_is_refused(saved: Path, version: Any) -> None:
    rewrite(saved, lambda header, _: header.update(format_version=version))
    with pytest.raises(
        CheckpointError, match=f"format version {version}, and this program reads 3: train again"
    ):
        load_channel(saved, ENDS, MODELS)


@pytest.mark.parametrize("name", ["channel", "config", "interface", "models", "training"])
def test_an_incomplete_header_is_refused(saved: Path, name: str) -> None:
    rewrite(saved, lambda header, _: header.update({name: 7}))
    with pytest.raises(CheckpointError, match=f"has a header without a proper '{name}' in it"):
        load_channel(saved, ENDS, MODELS)
    rewrite(saved, lambda header, _: header.pop(name))
    with pytest.raises(CheckpointError, match=f"has a header without a proper '{name}' in it"):
        load_channel(saved, ENDS, MODELS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h, w: w.pop("decoder.scale_gate"), "Missing key.*scale_gate"),
        (lambda h, w: w.update(spare=torch.ones(1)), "Unexpected key.*spare"),
        (lambda h, w: h["config"].update(k=3), "size mismatch"),
        (lambda h, w: h["config"].update(k=0), "k must be from 1 to 256, got 0"),
        (lambda h, w: h["config"].update(shared_codebook=True), "size mismatch"),
        (lambda h, w: h["config"].update(colour=1), "colour"),
        (lambda h, w: h.update(channel="telepathy"), "unknown channel 'telepathy'"),
        (lambda h, w: h["interface"].update(extra=1), "extra"),
    ],
)
def test_what_does_not_fit_is_refused(saved: Path, change: Any, reason: str) -> None:
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=rf"(?s)does not fit channel .*{reason}"):
        load_channel(saved, ENDS, MODELS)


def test_a_checkpoint_of_before_checksums_is_renewed_by_command(
    saved: Path, trained: VectorQuantizedChannel, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, header = read_tensors(saved)
    older = {"parley": json.dumps(header | {"format_version": 2})}
    save_file(weights, saved, metadata=older)
    with pytest.raises(CheckpointError, match=rf"parley channels renew {saved}` renews it"):
        load_channel(saved, ENDS, MODELS)
    assert main(["renew", str(saved)]) == 0
    loaded = load_channel(saved, ENDS, MODELS).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in trained.state_dict().items())
    assert main(["renew", str(saved)]) == 3
    assert "is no checkpoint of format version 2" in " ".join(capsys.readouterr().err.split())


def test_what_diverged_is_neither_saved_nor_loaded(
    saved: Path, trained: VectorQuantizedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = saved.read_bytes()
    torch.nn.init.constant_(trained.decoder.scale_gate, float("nan"))
    with pytest.raises(NotFiniteError, match=r"decoder\.scale_gate holds numbers that are not finite"):
        save_channel(saved, trained, MODELS, {})
    assert saved.read_bytes() == kept
    with monkeypatch.context() as unchecked:
        unchecked.setattr("parley.channels.tensor_file.check_finite", lambda tensors: None)
        save_channel(saved, trained, MODELS, {})
    with pytest.raises(CheckpointError, match=r"cannot be used: decoder\.scale_gate holds numbers"):
        load_channel(saved, ENDS, MODELS)


class Tied(VectorQuantizedChannel):
    """One tensor by two names, and one that is part of another."""

    def __init__(self, config: VectorQuantizedConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.same = self.decoder.scale_gate
        self.register_buffer("row", torch.arange(6.0).reshape(2, 3)[1])


def test_tied_weights_are_saved_and_stay_tied(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Tied(VectorQuantizedConfig(k=2, codebook_size=8, latent_width=5), ENDS)
    torch.nn.init.constant_(channel.same, 0.75)
    save_channel(saved, channel, MODELS, {})
    monkeypatch.setattr("parley.channels.checkpoint.channel_class", lambda name: Tied)
    loaded = load_channel(saved, ENDS, MODELS)
    assert isinstance(loaded, Tied)
    assert loaded.same is loaded.decoder.scale_gate
    assert loaded.same == 0.75
    assert torch.equal(loaded.row, channel.row)
