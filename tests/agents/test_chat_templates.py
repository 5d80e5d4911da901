"""Chat templates as real checkpoints have them: the slot is found, and the answer comes at once.

The templates here are short ones that render a single user turn as the published ones of Qwen2.5-Instruct
(a system turn of its own), Qwen3 (a switch for thinking) and of models that always think do.
"""

from __future__ import annotations

import shutil
from io import StringIO
from logging import StreamHandler
from pathlib import Path

import pytest
import torch
from transformers.utils import logging

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.model_files import POCKET_FOLDER
from parley.agents.prompts import LABELS, SLOT, cut_at_slot, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt, TextInput
from studies.pocket_model import CHATML_TEMPLATE

QWEN25 = (
    "{% if messages[0].role != 'system' %}"
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "{% endif %}" + CHATML_TEMPLATE
)
QWEN3 = CHATML_TEMPLATE + (
    "{% if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
ALWAYS_THINKS = CHATML_TEMPLATE + "{% if add_generation_prompt %}<think>\n{% endif %}"
ANSWER = "<|im_start|>assistant\n"
TAILS = {
    "chatml": (CHATML_TEMPLATE, f"<|im_end|>\n{ANSWER}"),
    "qwen2.5": (QWEN25, f"<|im_end|>\n{ANSWER}"),
    "qwen3": (QWEN3, f"<|im_end|>\n{ANSWER}<think>\n\n</think>\n\n"),
}
ROWS = [["tiny red cube", "very large blue ball"], ["very large dark sea blue round cone", "tiny blue disc"]]


def with_template(source: Path, target: Path, template: str) -> str:
    """A copy of a model folder with another chat template."""
    folder = Path(shutil.copytree(source, target))
    (folder / "chat_template.jinja").write_text(template)
    return str(folder)


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("model", ["qwen2_folder", "qwen3_folder"])
def test_the_slot_is_found_in_the_models_own_template(
    name: str, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    template, tail = TAILS[name]
    lm = FrozenLM(with_template(request.getfixturevalue(model), tmp_path / "model", template))
    before, after = cut_at_slot(lm.render(receiver_prompt(ROWS[0])))
    assert after == tail
    assert before.endswith("\nB: very large blue ball\nMessage:")
    assert ("created by Alibaba Cloud" in before) == (name == "qwen2.5")
    receiver = Receiver(lm)
    context = receiver.read(ROWS)
    for answer_states in (TextInput(["tiny red cube", "disc"]), SoftPrompt(torch.zeros(2, 0, lm.width))):
        cached, full = receiver.choose(context, answer_states), receiver.choose_uncached(ROWS, answer_states)
        torch.testing.assert_close(cached, full, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TAILS)
def test_an_answer_is_one_token_after_every_template(name: str, qwen2_folder: Path, tmp_path: Path) -> None:
    """The label token is the one that would be said there: it does not melt into what stands before."""
    template, tail = TAILS[name]
    lm = FrozenLM(with_template(qwen2_folder, tmp_path / "model", template))
    ids = Receiver(lm).readout.label_ids.tolist()
    assert [lm.encode(tail + label) for label in LABELS] == [[*lm.encode(tail), number] for number in ids]


def test_a_model_that_always_thinks_is_refused(qwen2_folder: Path, tmp_path: Path) -> None:
    name = with_template(qwen2_folder, tmp_path / "model", ALWAYS_THINKS)
    with pytest.raises(ModelError) as caught:
        FrozenLM(name)
    assert str(caught.value) == (
        f"model {name!r} thinks before it answers, which its chat template cannot switch off, and Parley "
        f"reads the answer at one position; take a version that need not think"
    )


def test_a_template_that_refuses_a_single_user_turn_is_named(qwen2_folder: Path, tmp_path: Path) -> None:
    name = with_template(
        qwen2_folder, tmp_path / "model", "{{ raise_exception('a system turn must come first') }}"
    )
    with pytest.raises(
        ModelError, match="a chat template that refuses a single user turn: a system turn must come first"
    ):
        FrozenLM(name)


@pytest.mark.parametrize("template", ["{{ messages[0].role }}", "{{ messages[0].content * 2 }}"])
def test_a_template_that_drops_or_repeats_the_slot_is_refused(
    template: str, qwen2_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"must keep the slot's mark exactly once, found [02]"):
        Receiver(FrozenLM(with_template(qwen2_folder, tmp_path / "model", template)))


def test_the_pockets_template_serves_a_base_model_without_one(qwen2_folder: Path, tmp_path: Path) -> None:
    """As the error for a model without a template advises."""
    name = with_template(
        qwen2_folder, tmp_path / "model", (POCKET_FOLDER / "chat_template.jinja").read_text()
    )
    assert FrozenLM(name).render(SLOT) == f"<|im_start|>user\n{SLOT}{TAILS['chatml'][1]}"


def test_the_models_own_length_counts_and_not_the_tokenizers(qwen2_folder: Path, tmp_path: Path) -> None:
    """Qwen2.5's tokenizers allow 131,072 tokens where its models take 32,768."""
    folder = Path(shutil.copytree(qwen2_folder, tmp_path / "model"))
    path = folder / "tokenizer_config.json"
    for limit in (8, 131072):
        path.write_text(path.read_text().replace('"model_max_length": 256', f'"model_max_length": {limit}'))
        assert f'"model_max_length": {limit}' in path.read_text()
        lm = FrozenLM(str(folder))
        assert lm.max_length == 256
        assert len(lm.encode("z " * 100)) >= 100, "nothing is cut"
        with pytest.raises(ValueError, match=r"prompt of 300 tokens exceeds the 256 of model"):
            lm.left_pad([[5] * 300])
        path.write_text(path.read_text().replace(f'"model_max_length": {limit}', '"model_max_length": 256'))


def test_a_long_prompt_is_refused_without_advice_from_the_tokenizer(qwen2_folder: Path) -> None:
    receiver = Receiver(FrozenLM(str(qwen2_folder)))
    advice = StringIO()
    handler = StreamHandler(advice)
    logging.add_handler(handler)
    try:
        with pytest.raises(ValueError, match="exceeds the 256 of model"):
            receiver.read([["very large dark sea blue round cone " * 60]])
    finally:
        logging.remove_handler(handler)
    assert advice.getvalue() == "", "the error is all that is said"
