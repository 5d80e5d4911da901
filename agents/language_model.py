"""A frozen Qwen2, Qwen2.5, Qwen3 or Llama, by name, file or folder: the only door to transformers.

Whatever plays here was loaded here: in eval mode, without gradients of its own, and with the
fingerprint of its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from accelerate.utils import align_module_device
from jaxtyping import Bool, Float, Int
from jinja2 import TemplateError
from torch import Tensor, nn

from parley.agents.control_tokens import ControlTokens
from parley.agents.model_files import POCKET, DeviceMap, ModelError, load_checkpoint
from parley.agents.prompts import Turn

__all__ = ["POCKET", "FrozenLM", "ModelError"]

_ANY_LENGTH = 1 << 60


class FrozenLM:
    """A frozen causal language model with its tokenizer.

    Args:
        name: `pocket`, `pocket_narrow` or `smollm2`, a GGUF file, a local folder, or a hub name such as
            `Qwen/Qwen2.5-0.5B-Instruct`, which may be followed by `@` and a branch, tag or commit.
        device: where it runs; its precision is bfloat16 on CUDA and float32 elsewhere.
        dtype: another precision; float16 is refused, its range is too small for gradients.
        device_map: how accelerate is to place the layers of a model that is larger than one card, such as
            `auto`; `device` then plays no part, and is where the embeddings are.

    Raises:
        ModelError: if it cannot be found, lacks a file, is of a family that cannot play, or thinks first.
    """

    def __init__(
        self,
        name: str = POCKET,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        device_map: DeviceMap | None = None,
    ) -> None:
        device = torch.device(device)
        on_cuda = device.type == "cuda" if device_map is None else torch.cuda.is_available()
        dtype = dtype or (torch.bfloat16 if on_cuda else torch.float32)
        if dtype == torch.float16:
            raise ModelError("dtype float16 is too narrow for gradients, use bfloat16 or float32")
        tokenizer, model, fingerprint = load_checkpoint(name, dtype, device_map)
        self._freeze(name, tokenizer, model if device_map else model.to(device), fingerprint)

    @classmethod
    def of(cls, model: Any, tokenizer: Any, *, name: str, fingerprint: str) -> FrozenLM:
        """Freeze a model that is in memory already, where it is.

        Args:
            model: a Qwen2ForCausalLM, Qwen3ForCausalLM or LlamaForCausalLM.
            tokenizer: with a chat template; may have fewer tokens than the model has embeddings.
            name: for messages and records.
            fingerprint: what tells it from every other player.

        Raises:
            ModelError: if the two do not fit, or the chat template cannot be used.
        """
        frozen = cls.__new__(cls)
        frozen._freeze(name, tokenizer, model, fingerprint)
        return frozen

    def _freeze(self, name: str, tokenizer: Any, model: Any, fingerprint: str) -> None:
        self.name, self.tokenizer, self.fingerprint = name, tokenizer, fingerprint
        self.model = model.eval().requires_grad_(False)
        self.dtype: torch.dtype = model.dtype
        self.device = _execution_device(model.get_input_embeddings())
        # the model's own limit counts, and its error; a tokenizer's is a second one, and no more than advice
        tokenizer.model_max_length = _ANY_LENGTH
        if (num_embeddings := model.get_input_embeddings().num_embeddings) < len(tokenizer):
            raise ModelError(
                f"model {name!r} has {num_embeddings} token embeddings, fewer than the "
                f"{len(tokenizer)} tokens of its tokenizer"
            )
        self._check_template()

    def _check_template(self) -> None:
        """Refuse a template without a place for a message, or after which the model thinks first."""
        if self.tokenizer.chat_template is None:
            raise ModelError(
                f"model {self.name!r} has no chat template, so there is no place for a message; take its "
                f"instruct version, or put a chat_template.jinja into its folder, such as the pocket's"
            )
        try:
            rendered = self.render("")
        except TemplateError as error:
            raise ModelError(
                f"model {self.name!r} has a chat template that refuses a single user turn: {error}"
            ) from error
        _, thinks, thoughts = rendered.rpartition("<think>")
        if thinks and "</think>" not in thoughts:
            raise ModelError(
                f"model {self.name!r} thinks before it answers, which its chat template cannot switch off, "
                f"and Parley reads the answer at one position; take a version that need not think"
            )

    @cached_property
    def _control_tokens(self) -> ControlTokens:
        return ControlTokens(self.tokenizer.backend_tokenizer)

    @property
    def num_layers(self) -> int:
        """Decoder layers."""
        return int(self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """Width of embeddings and hidden states."""
        return int(self.model.config.hidden_size)

    @property
    def max_length(self) -> int:
        """Longest context in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def embedding_table(self) -> Float[Tensor, "V E"]:
        """The token embeddings."""
        return _weight_of(self.model.get_input_embeddings())

    def embed(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T E"]:
        """Token embeddings of ids."""
        embedded: Tensor = self.model.get_input_embeddings()(ids)
        return embedded

    def output_rows(self, ids: Int[Tensor, " N"]) -> Float[Tensor, "N E"]:
        """Rows of the output layer, on the device of the embeddings: their products are tokens' log-odds."""
        table = _weight_of(self.model.get_output_embeddings())
        return table[ids.to(table.device)].to(self.device)

    def embedding_norm(self) -> float:
        """Mean L2 norm of the token embeddings."""
        return float(self.embedding_table.float().norm(dim=-1).mean())

    def render(self, content: str, turns: Sequence[Turn] = ()) -> str:
        """The chat template around a user turn, up to where the answer begins; no thinking.

        Control tokens in the words of the turns are quoted: `encode` takes them for plain characters.

        Args:
            content: the user's words.
            turns: earlier ones, each with its answer.

        Raises:
            ValueError: if words hold a character by which control tokens are quoted.
        """
        quote = self._control_tokens.quote
        chat = [
            {"role": role, "content": quote(words)}
            for turn in turns
            for role, words in zip(("user", "assistant"), turn, strict=True)
        ]
        return str(
            self.tokenizer.apply_chat_template(
                [*chat, {"role": "user", "content": quote(content)}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text in which control tokens count as such, but for those that `render` quoted."""
        if self._control_tokens.is_quoted(text):
            return self._control_tokens.encode(text)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of a text that someone said: control tokens inside it are plain characters."""
        backend = self.tokenizer.backend_tokenizer
        normalized = backend.normalizer.normalize_str(text) if backend.normalizer else text
        words = backend.pre_tokenizer  # a Llama 2 has none
        pieces = [piece for piece, _ in words.pre_tokenize_str(normalized)] if words else [normalized]
        return [token.id for piece in pieces for token in backend.model.tokenize(piece)]

    def left_pad(self, rows: Sequence[list[int]]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Token ids and mask of rows of different length, padded on the left.

        Raises:
            ValueError: if a row is longer than the model's context.
        """
        longest = max(map(len, rows))
        if longest > self.max_length:
            raise ValueError(
                f"prompt of {longest} tokens exceeds the {self.max_length} of model {self.name!r}"
            )
        padding = self.tokenizer.pad_token_id or 0
        padded = [[padding] * (longest - len(row)) + row for row in rows]
        kept = [[False] * (longest - len(row)) + [True] * len(row) for row in rows]
        return (
            torch.tensor(padded, dtype=torch.long, device=self.device),
            torch.tensor(kept, dtype=torch.bool, device=self.device),
        )


def _weight_of(module: nn.Module) -> Tensor:
    """A module's weight where it is used; what accelerate keeps on disk is read for it."""
    with align_module_device(module):
        weight = module.weight
    assert isinstance(weight, Tensor), "embeddings and output layers have one"
    return weight


def _execution_device(module: nn.Module) -> torch.device:
    """Where a module runs; that of a weight that is kept on disk is known to accelerate's hook alone."""
    hook = getattr(module, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return torch.device(_weight_of(module).device if device is None else device)
