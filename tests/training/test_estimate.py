"""The estimate on paper, against torch's own counter on real steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_cases import NAMES, evaluate
from trainer_cases import CODECS, make_trainer, messages_of, only, played

from benchmarks.playing_step import bytes_of_a_step
from benchmarks.random_models import random_lm
from parley.agents.examples import draw_examples
from parley.agents.flop_counter import flop_counter
from parley.agents.pair import Pair
from parley.agents.player import ReceiverSettings, SenderSettings
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.agents.shapes import SHAPES, Shape, shape_of
from parley.channels.base import SoftPrompt
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.envs.world import World
from parley.training.costs.codec_cost import Polynomial, codec_cost
from parley.training.costs.estimate import alignment_step, memory, sender_once, step_parts, validation_each
from parley.training.costs.passes import Pass, Work
from parley.training.costs.setting import Lengths, Setting
from parley.training.loss import Loss
from parley.training.trainer import Trainer

CPU = torch.device("cpu")
GROUPED = Shape(
    repository="nobody/grouped", width=48, mlp_width=80, num_layers=2, num_heads=6, num_key_value_heads=2,
    head_width=8, vocab_size=700, max_length=512, tied=False,
)  # fmt: skip
WIDE = replace(GROUPED, family="qwen3", head_width=16)
POCKET = shape_of("pocket")


def counted(run: Callable[[], Any]) -> tuple[Any, int]:
    with flop_counter() as counter:
        made = run()
    return made, counter.get_total_flops()


@pytest.fixture(params=["pocket", "grouped", "wide"])
def listener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Shape, Receiver]:
    """A multi-head Qwen2, one with grouped queries, and a Qwen3 whose heads are wider than its width."""
    if request.param == "pocket":
        return shape_of("pocket"), Receiver(request.getfixturevalue("pocket_pair").receiver.lm)
    shape = {"grouped": GROUPED, "wide": WIDE}[request.param]
    monkeypatch.setitem(SHAPES, "small", shape)
    return shape, Receiver(random_lm("small", device=CPU, dtype=torch.float32))


def test_a_pass_costs_what_torch_counts(listener: tuple[Shape, Receiver]) -> None:
    """Reading without gradient, then one row a message, forward and backward to the prefix alone."""
    shape, receiver = listener
    contexts, messages = 3, 2
    context, read = counted(lambda: receiver.read([["small red cube", "large blue ball"]] * contexts))
    past = context.mask.shape[1]
    assert read == Pass(rows=contexts, new=past).work(shape, 4).flops
    vectors = torch.randn(contexts * messages, 4, shape.width, requires_grad=True)
    told = context.repeat(messages)
    answer_states, forward = counted(lambda: receiver.answer_states(told, SoftPrompt(vectors)))
    slot = 4 + len(receiver.lm.encode("<|im_end|>\n<|im_start|>assistant\n"))
    sizes = {"rows": contexts * messages, "new": slot, "past": past, "graph": True}
    assert forward == Pass(**sizes).work(shape, 4).flops
    _, backward = counted(lambda: answer_states.sum().backward())
    assert forward + backward == Pass(**sizes, backward=True).work(shape, 4).flops
    anew = SoftPrompt(vectors.detach(), at_start=True)
    _, whole = counted(lambda: receiver.answer_states(told, anew))
    assert whole == Pass(rows=contexts * messages, new=past + slot).work(shape, 4).flops


def test_a_packed_pass_costs_what_torch_counts(listener: tuple[Shape, Receiver]) -> None:
    """All messages of a context side by side in one row, under a mask of four dimensions."""
    shape, receiver = listener
    contexts, messages, slot = 3, 2, 5
    context = receiver.read([["small red cube", "large blue ball"]] * contexts)
    past, new = context.mask.shape[1], messages * slot
    own = torch.block_diag(*[torch.ones(slot, slot).tril()] * messages).bool()
    seen = torch.cat([torch.ones(new, past, dtype=torch.bool), own], dim=1)
    cache = type(receiver.lm.model.model(torch.ones(1, 1).long(), use_cache=True).past_key_values)(
        ddp_cache_data=context.layers, config=receiver.lm.model.config
    )
    vectors = torch.randn(contexts, new, shape.width, requires_grad=True)

    def answer_states() -> None:
        hidden = receiver.lm.model.model(
            inputs_embeds=vectors,
            attention_mask=seen.expand(contexts, 1, -1, -1),
            position_ids=(past + torch.arange(slot)).repeat(messages).expand(contexts, -1),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        hidden.sum().backward()

    _, flops = counted(answer_states)
    run = Pass(rows=contexts, new=new, past=past, graph=True, backward=True)
    assert flops == run.work(shape, 4).flops


@pytest.mark.parametrize("packed", [True, False], ids=["side_by_side", "in_rows"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [GROUPED, WIDE], ids=["qwen2", "qwen3"])
def test_what_is_kept_for_the_backward_pass_is_what_torch_saves(
    shape: Shape, dtype: torch.dtype, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "small", shape)
    lm = random_lm("small", device=CPU, dtype=dtype)
    receiver = Receiver(lm)
    context = receiver.read([["small red metal cube"] * 5] * 2).repeat(1 if packed else 5)
    weights = {weight.untyped_storage().data_ptr() for weight in lm.model.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    vectors = torch.randn(10, 4, lm.width, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        answer_states = receiver.answer_states(context, SoftPrompt(vectors))
    assert answer_states.requires_grad
    rows, new = (2, 5 * 9) if packed else (2 * 5, 9)
    run = Pass(rows=rows, new=new, past=context.mask.shape[1], graph=True)
    assert run.saved(shape, dtype.itemsize) == sum(saved.values())
    assert replace(run, graph=False).saved(shape, dtype.itemsize) == 0
    read = sum(tensor.nbytes for layer in context.layers for tensor in layer)
    assert read == run.rows * run.past * dtype.itemsize * shape.cache_numbers_per_token


Counted = Callable[..., tuple[Setting, Trainer]]


@pytest.fixture(scope="module")
def by_likelihood(pocket_pair: Pair, few_objects: World) -> Pair:
    """Its receiver is shown an example, and read by the texts of the candidates."""
    examples = draw_examples(find_game(DEFAULT_GAME, few_objects, EpisodeConfig(split="train")), 0)
    settings = ReceiverSettings(readout="likelihood", calibration="content_free", shots=1)
    return Pair(pocket_pair.sender, Receiver(pocket_pair.receiver.lm, settings, examples), few_objects)


@pytest.fixture(scope="module")
def trained(pocket_pair: Pair, by_likelihood: Pair, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A trainer by channel, made once with every head, and the setting of the batch that it draws next."""
    kept: dict[str, Trainer] = {}

    def of(kind: str, codec: Any = None, readout: str = "label", **weights: Any) -> tuple[Setting, Trainer]:
        name, pair = f"{kind} {codec} {readout}", pocket_pair if readout == "label" else by_likelihood
        if name not in kept:
            every = only(**dict.fromkeys(NAMES, 1.0))
            kept[name] = make_trainer(
                pair, tmp_path_factory.mktemp("run"), kind, codec or CODECS[kind], objectives=every
            )
        trainer = kept[name]
        asked = only(**weights)
        trainer.config = replace(trainer.config, objectives=asked)
        trainer.loss = Loss(asked, trainer.channel, pocket_pair.world)
        trainer.ask_receiver = replace(trainer.ask_receiver, needs=asked.needs, among=asked.among)
        return setting_of(trainer), trainer

    return of


def setting_of(trainer: Trainer) -> Setting:
    """The setting of a trainer, with the lengths of the batch that it is about to draw."""
    state = trainer.rng.bit_generator.state
    contexts = trainer.sample_contexts()
    batch = trainer.send(contexts.sender_views)
    trainer.rng.bit_generator.state = state
    pair, receiver = trainer.pair, trainer.pair.receiver
    options = [
        pair.world.options(view) for view in contexts.receiver_views[:: trainer.config.messages_per_context]
    ]
    neutral = receiver.readout.neutral if receiver.settings.calibration != "none" else []
    lengths = Lengths(
        before=contexts.context.ids.shape[1],
        tail=len(receiver.lm.encode("<|im_end|>\n<|im_start|>assistant\n")),
        words=max(map(len, receiver.message_tokens(batch.utterance.texts))),
        prompt=batch.utterance.states.shape[1],
        description=4,
        vocabulary=len(batch.tokens.table),
        shown=len(receiver.shown),
        neutral=max(map(len, receiver.message_tokens(neutral)), default=0),
    )
    interface = replace(pair.interface, models=None)
    return Setting(
        config=trainer.config,
        sender=POCKET,
        receiver=POCKET,
        one_model=True,
        lengths=lengths,
        rereads=False,
        layers_read=trainer.pair.sender.layer(trainer.channel.features.depth),
        codec=codec_cost(
            trainer.channel.name,
            trainer.channel.config,
            interface,
            lengths.prompt,
            trainer.config.objectives,
            pair.world,
            lengths.vocabulary,
        ),
        referents=len(pair.world.referents("train")),
        answer=receiver.readout.answer_cost(options, trainer.config.objectives.among, POCKET.vocab_size),
        num_neutral=len(neutral),
        number_bytes=4,
    )


def step_flops(trainer: Trainer, aligned: bool = False) -> int:
    """What torch counts in one step, up to the codec's gradient."""

    def step() -> None:
        batch = messages_of(trainer) if aligned else played(trainer)
        evaluate(trainer.loss, batch)[0].backward()

    return counted(step)[1]


def total(parts: dict[str, Work]) -> float:
    return sum(parts.values(), Work()).flops


@pytest.mark.parametrize("name", sorted({*NAMES} - {"quantizer"}))
def test_every_objective_is_counted_as_torch_counts_it(name: str, trained: Counted) -> None:
    setting, trainer = trained("symbols" if name in ("reinforce", "entropy") else "latent", **{name: 1.0})
    # what looks at latents alone sends no gradient through the decoder, which is counted all the same
    exact = name not in ("attributes", "info_preserve", "state_reconstruction", "entropy", "reinforce")
    assert total(step_parts(setting)) == pytest.approx(step_flops(trainer), rel=1e-9 if exact else 3e-3)


@pytest.mark.parametrize(
    ("at_start", "weights"),
    [
        (False, {"ce": 1.0, "help": 1.0, "contrast": 1.0, "among": "vocabulary"}),
        (False, {"ce": 1.0, "swap_contrast": 1.0, "reconstruction": 1.0, "attributes": 1.0}),
        (True, {"ce": 1.0, "help": 1.0, "teacher_kl": 1.0, "info_nce": 1.0}),
    ],
    ids=["vocabulary", "of messages", "at the start"],
)
def test_objectives_together_share_their_passes(
    at_start: bool, weights: dict[str, Any], trained: Counted
) -> None:
    setting, trainer = trained("latent", replace(CODECS["latent"], at_start=at_start), **weights)
    assert total(step_parts(setting)) == pytest.approx(step_flops(trainer), rel=1e-9)
    if "reconstruction" in weights:
        assert alignment_step(setting).flops == pytest.approx(step_flops(trainer, aligned=True), rel=1e-9)


@pytest.mark.parametrize("at_start", [False, True], ids=["in the slot", "at the start"])
def test_texts_of_candidates_cost_what_torch_counts(at_start: bool, trained: Counted) -> None:
    """The tree behind each message, all tokens at each place, calibration, and the example before it all."""
    more = {} if at_start else {"help": 1.0, "contrast": 1.0, "info_nce": 1.0, "teacher_kl": 1.0}
    weights = {"ce": 1.0, **more}
    codec = replace(CODECS["latent"], at_start=at_start)
    setting, trainer = trained("latent", codec, readout="likelihood", among="vocabulary", **weights)
    assert setting.lengths.shown > 0 < setting.num_neutral
    assert total(step_parts(setting)) == pytest.approx(step_flops(trainer), rel=1e-9)
    said = memory(setting)["kept for the backward pass"] + setting.messages * setting.codec.saved
    assert said == pytest.approx(bytes_of_a_step(trainer), rel=0.05)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("reads", ["prompt", "message"])
def test_the_sender_costs_what_torch_counts(reads: str, shots: int, trained: Counted) -> None:
    """Its solved examples are read once, however many referents stand behind them."""
    setting, trainer = trained("latent", ce=1.0)
    world, lm = trainer.pair.world, trainer.pair.sender.lm
    everyone, features = world.referents("train")[:40], trainer.channel.features._replace(of=reads)
    examples = draw_examples(find_game(DEFAULT_GAME, world, EpisodeConfig(split="train")), 0)
    fresh = Sender(lm, world, SenderSettings(shots=shots), examples)
    _, flops = counted(lambda: list(fresh.speak(everyone, features).texts))
    lengths = setting.lengths._replace(
        preamble=len(fresh.preamble.ids[0]),
        prompt=max(map(len, fresh.prompts(list(everyone)))),
        description=max(len(lm.encode_plain(text)) for text in fresh.describe(everyone)),
    )
    alike = replace(setting, lengths=lengths, referents=40, rereads=reads == "message")
    assert (lengths.preamble > 0) == (shots > 0)
    assert sender_once(alike).flops == pytest.approx(flops, rel=1e-9)


def test_validation_costs_what_torch_counts(trained: Counted) -> None:
    setting, trainer = trained("latent", ce=1.0)
    pair, context = trainer.pair, trainer.validation.context
    silent = setting.codec._replace(forward=Polynomial())
    lengths = setting.lengths._replace(before=context.mask.shape[1])
    answer_states = replace(setting, lengths=lengths, codec=silent)
    three = trainer.channel.null_input(3 * len(context.mask))
    _, flops = counted(lambda: pair.receiver.choose(context, three))
    assert validation_each(answer_states).flops == flops
