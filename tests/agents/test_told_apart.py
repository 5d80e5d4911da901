"""Referents that are the same tokens to a model are refused when it is loaded, both named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.agents.told_apart import check_told_apart
from parley.envs.listed_world import ListedWorld
from parley.envs.world import Attribute, World, objects_world
from parley.evaluation import admit

WORDS = ("red", "green", "blue", "grey", "white", "black", "brown", "pink", "teal", "beige", "ochre", "plum")


def listed(*more: str) -> ListedWorld:
    return ListedWorld.of("shades", ("shade",), [(word,) for word in (*WORDS, *more)])


def combined(kind: type[World], *values: str) -> World:
    others = tuple(Attribute(name=name, values=WORDS[:4]) for name in "ab")
    return kind(name="made", attributes=(Attribute(name="shade", values=values), *others))


@pytest.fixture(scope="module")
def folding(lm: FrozenLM) -> FrozenLM:
    """A model whose tokenizer folds case, and has one token for all that it does not know."""
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate(("?", *WORDS))}, unk_token="?"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?", chat_template="-")
    return FrozenLM.of(lm.model, tokenizer, name="folding", fingerprint="1")


@pytest.mark.parametrize(
    ("more", "named"), [(("Red",), "'red' and 'Red'"), (("mauve", "caf\xe9"), "'mauve' and ")]
)
def test_referents_of_the_same_tokens_are_named_with_the_model(
    more: tuple[str, ...], named: str, lm: FrozenLM, folding: FrozenLM
) -> None:
    check_told_apart(listed(*more), [lm])
    words = re.escape(f"referents of world 'shades' must differ in their tokens, got {named}")
    with pytest.raises(ValueError, match=f"^{words}.*, which are the same to model 'folding'$"):
        check_told_apart(listed(*more), [lm, folding])


def test_values_must_differ_where_every_combination_is_a_referent(folding: FrozenLM) -> None:
    check_told_apart(combined(World, *WORDS[:4]), [folding])
    words = "values of 'shade' of world 'made' must differ in their tokens, got 'blue' and 'Blue'"
    with pytest.raises(ValueError, match=words):
        check_told_apart(combined(World, *WORDS[:3], "Blue"), [folding])


class Terse(World):
    def describe(self, referent: object) -> str:
        return "something"


def test_a_world_that_describes_in_its_own_words_is_taken_at_them(lm: FrozenLM) -> None:
    words = "referents of world 'made' must differ in their tokens, got 'something' and 'something'"
    with pytest.raises(ValueError, match=words):
        check_told_apart(combined(Terse, *WORDS[:4]), [lm])


def test_the_shipped_model_tells_the_default_world_apart() -> None:
    check_told_apart(objects_world(), [FrozenLM()])


def test_a_pair_and_an_admission_ask(qwen2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(world: World, models: object) -> None:
        asked.append(world.name)
        raise ValueError("they are the same")

    config = ModelConfig(model=str(qwen2_folder), device="cpu")
    for module in ("parley.agents.pair", "parley.evaluation.admit"):
        monkeypatch.setattr(f"{module}.check_told_apart", refuse)
    for ask in (lambda: Pair.load(config, listed()), lambda: admit.run(admit.AdmitConfig(models=config))):
        with pytest.raises(ValueError, match="they are the same"):
            ask()
    assert asked == ["shades", "objects"]
