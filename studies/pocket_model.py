"""How the pocket is built: its tokenizer and its untrained Qwen2 model.

Training is in `studies/pretrain_pocket.py`; the result is in `agents/pocket/`, an ordinary `from_pretrained`
folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LOOK_BACK = (
    (2, 3, 4, 5),
    (5, 6, 7, 8),
)  # even and odd layers: from a value to its label, from the answer back
LOOK_BACK_GAIN = 4.0
LOOK_BACK_CONTENT = 0.1
SHARP_PAIRS = 4
SDPA_FLOAT32 = "sdpa_float32"
QWEN2_WORDS = (  # the pre-tokenisation rule that Qwen2's tokenizer publishes
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class PocketConfig:
    """The pocket's architecture: Qwen2 with tied embeddings, and rotary positions for short prompts."""

    vocab_size: int = 640
    width: int = 128
    mlp_width: int = 512
    num_layers: int = 4
    num_heads: int = 8
    max_length: int = 1024
    rope_theta: float = 1000.0


def train_tokenizer(corpus: Iterable[str], config: PocketConfig) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with ChatML's control tokens on a corpus of texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106 - a control token, no password
        pad_token="<|endoftext|>",  # noqa: S106 - a control token, no password
        additional_special_tokens=["<|im_start|>"],
        model_max_length=config.max_length,
        chat_template=CHATML_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, config: PocketConfig, seed: int) -> Qwen2ForCausalLM:
    """An untrained pocket, initialised from the seed; the caller's generators stay as they are."""
    qwen2 = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=config.mlp_width,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_heads,
        max_position_embeddings=config.max_length,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(qwen2).float()
        _initialize(model, config)
    AttentionInterface.register(SDPA_FLOAT32, _sdpa_float32)
    model.set_attn_implementation(SDPA_FLOAT32)
    return model


@torch.no_grad()
def _initialize(model: Qwen2ForCausalLM, config: PocketConfig) -> None:
    """Start where in-context matching is near, so that it is learned within minutes.

    Half of the heads look back a fixed number of tokens; in the others keys equal queries, so that
    a token attends to its like (mimetic initialisation: Trockman and Kolter, 2023). Embeddings
    have unit variance and every layer adds little, so that tokens can be told apart in all layers.
    """
    depth = 2 * config.num_layers
    model.model.embed_tokens.weight.normal_()
    model.model.norm.weight.fill_(config.width**-0.5)
    for number, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        for projection in (attention.q_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            projection.weight.normal_(std=config.width**-0.5)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        _look_back(attention, LOOK_BACK[number % len(LOOK_BACK)], config)
        attention.o_proj.weight.normal_(std=(config.width * depth) ** -0.5)
        mlp.down_proj.weight.normal_(std=(config.mlp_width * depth) ** -0.5)


def _look_back(attention: Qwen2Attention, offsets: Sequence[int], config: PocketConfig) -> None:
    """Let the first half of the heads attend `offsets` tokens back, whatever stands there.

    Rotary positions turn a bias pair at frequency w by its position times w; a query bias that is
    turned by offset * w more meets the key bias best that many tokens back.
    """
    head_width = config.width // config.num_heads
    half = torch.arange(head_width // 2)
    fast = LOOK_BACK_GAIN * (half < SHARP_PAIRS)  # slow pairs cannot tell neighbours apart
    for head, offset in enumerate(offsets[: config.num_heads // 2]):
        rows = slice(head * head_width, (head + 1) * head_width)
        angles = offset * config.rope_theta ** (-half / len(half))
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[rows] *= LOOK_BACK_CONTENT
        attention.q_proj.bias[rows] = torch.cat([fast * torch.cos(angles), -fast * torch.sin(angles)])
        attention.k_proj.bias[rows] = torch.cat([fast, torch.zeros(len(half))])


def hidden_states(model: Qwen2ForCausalLM, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Final hidden states, computed in bfloat16 with gradient to the float32 weights.

    Rows are padded on the right, where causal attention keeps the padding from what counts.
    """
    weights = {name: weight.bfloat16() for name, weight in model.model.named_parameters()}
    states: Tensor = torch.func.functional_call(
        model.model, weights, kwargs={"input_ids": ids, "use_cache": False}
    ).last_hidden_state
    return states


def _sdpa_float32(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: object, **options: Any
) -> tuple[Tensor, None]:
    """Causal attention in float32: its backward pass in bfloat16 is several times slower on CPUs."""
    attended = functional.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), is_causal=True, scale=options["scaling"]
    )
    return attended.transpose(1, 2).to(query.dtype).contiguous(), None
