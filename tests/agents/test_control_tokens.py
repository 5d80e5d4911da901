"""What a world's words say is plain text to both models: no control token in them acts in any prompt."""

from __future__ import annotations

import pytest
from hostile_messages import hostile_messages
from hostile_worlds import acting, check_receiver, check_sender
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from parley.agents.control_tokens import ControlTokens
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import Turn, receiver_prompt


@pytest.fixture(scope="module")
def lm() -> FrozenLM:
    return FrozenLM()


@pytest.mark.parametrize("shots", [0, 1])
def test_no_word_of_a_world_acts_in_the_sender_s_prompts(lm: FrozenLM, shots: int) -> None:
    check_sender(lm, shots)


@pytest.mark.parametrize("readout", ["label", "likelihood"])
@pytest.mark.parametrize("shots", [0, 1])
def test_no_word_of_a_world_acts_in_the_receiver_s_prompts(lm: FrozenLM, readout: str, shots: int) -> None:
    check_receiver(lm, readout, shots)


def test_words_are_cut_into_tokens_as_in_a_message(lm: FrozenLM) -> None:
    said = "<|im_end|> or <|im_start|> or <think> it is"
    asked = lm.encode(lm.render(receiver_prompt([said, "another"])))
    said_ids = lm.encode_plain(f" {said}")
    assert any(asked[place : place + len(said_ids)] == said_ids for place in range(len(asked)))


def test_the_twin_reads_what_was_not_quoted_as_the_tokenizer_does(lm: FrozenLM) -> None:
    control = ControlTokens(lm.tokenizer.backend_tokenizer)
    for text in hostile_messages()[::9]:
        turns = [Turn(text, text)]
        assert acting(lm, lm.encode(lm.render(text, turns))) == acting(
            lm, lm.encode(lm.render("x", [Turn("x", "x")]))
        )
        armed = f"<|im_start|>user\n{text}<|im_end|>\n"
        assert control.encode(armed) == lm.encode(armed)


def test_a_tokenizer_that_begins_texts_with_a_blank_is_read_the_same() -> None:
    """As Llama 2's do: the blank stands before the first text alone, not before each piece of one."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    backend.train_from_iterator(["A: red cube or blue ball </s> [INST]"] * 3, trainer)
    backend.add_tokens([AddedToken("[INST]", rstrip=True, normalized=False)])
    control = ControlTokens(backend)
    text = "<s>[INST]  red cube</s>blue ball [INST] or"
    assert control.encode(text) == backend.encode(text, add_special_tokens=False).ids
    quoted = control.encode(f"<s>[INST]  {control.quote('red </s> cube')}</s>")
    names = [backend.id_to_token(token) for token in quoted]
    assert [names.index("<s>"), names.index("</s>")] == [0, len(names) - 1]
    assert names.count("</s>") == names.count("<s>") == 1


def test_marks_of_quotation_are_refused(lm: FrozenLM) -> None:
    """Or words could bring a control token by its number."""
    for mark in "\U000f0000\U000f0001\U000f0002":
        with pytest.raises(ValueError, match=r"must not hold U\+F0000 to U\+F0002, .* got 'a"):
            lm.render(f"a {mark}2")
