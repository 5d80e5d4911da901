"""What one run of a frozen model costs, by arithmetic from its shape: operations, traffic, memory.

Operations are matrix products as torch's FlopCounterMode counts them: two for a multiplication and its
addition, attention in full though part of it is masked.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.agents.shapes import Shape

FP32 = 4  # bytes; norms are computed in it whatever the weights are kept in
ATTENTION_FORWARD, ATTENTION_BACKWARD = 2, 5  # matrix products; the kernels recompute the scores


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done.

    Args:
        flops: floating-point operations.
        traffic: bytes that must cross between memory and processor, at the least.
    """

    flops: float = 0.0
    traffic: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(flops=self.flops + other.flops, traffic=self.traffic + other.traffic)

    def __mul__(self, times: float) -> Work:
        return Work(flops=self.flops * times, traffic=self.traffic * times)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """New tokens that are run through all decoder layers of a frozen model.

    Args:
        rows: of the batch.
        new: tokens of a row that are run.
        past: tokens of a row whose keys and values are kept from before.
        graph: whether what the backward pass needs is kept.
        backward: whether there is one, to the inputs alone: the weights are frozen.
        to_past: whether it goes to what is kept from before alone, and to no new token.
    """

    rows: int
    new: int
    past: int = 0
    graph: bool = False
    backward: bool = False
    to_past: bool = False

    def work(self, shape: Shape, number_bytes: int) -> Work:
        """Operations and traffic, forward and, where there is one, backward.

        Args:
            shape: of the model.
            number_bytes: of a weight or an activation.
        """
        flops = self._linear(shape) + self._attention(shape, ATTENTION_FORWARD)
        read = shape.num_layers * shape.layer_weights + self.rows * self.past * shape.cache_numbers_per_token
        operands = self._operands(shape)
        forward = Work(flops=flops, traffic=number_bytes * (read + operands))
        if not self.backward:
            return forward
        # a linear map takes one product back to its inputs; its operands and their gradients both cross
        flops = self._linear(shape) + self._attention(shape, ATTENTION_BACKWARD)
        if self.to_past:  # not through what makes the first layer's queries, keys and values
            flops -= 2 * self.rows * self.new * shape.width * (shape.query_width + 2 * shape.key_width)
        return forward + Work(flops=flops, traffic=number_bytes * (read + 2 * operands))

    def _linear(self, shape: Shape) -> int:
        return 2 * self.rows * self.new * shape.num_layers * shape.layer_weights

    def _attention(self, shape: Shape, products: int) -> int:
        scores = self.rows * self.new * (self.past + self.new)
        return 2 * products * shape.num_layers * shape.query_width * scores

    def _operands(self, shape: Shape) -> int:
        """Numbers that matrix products read and write but for the weights, each once."""
        of_token = 4 * (shape.width + shape.query_width + shape.key_width) + 3 * shape.mlp_width
        return self.rows * self.new * shape.num_layers * of_token

    def saved(self, shape: Shape, number_bytes: int) -> int:
        """Bytes that are kept for the backward pass: 0 without a graph.

        That is, in every layer: the inputs of norms in float32 and their scales, queries, what was attended
        to them, the three sides of the gated layer, and keys and values of all tokens, spread out over the
        heads of the queries; once: the last norm's, the rotation and the mask.
        """
        if not self.graph:
            return 0
        norms = 2 * FP32 * (shape.width + 1)
        if shape.family == "qwen3":
            heads = shape.num_heads + shape.num_key_value_heads
            norms += FP32 * (shape.query_width + shape.key_width + heads)
        attended = number_bytes * 2 * shape.query_width + FP32 * shape.num_heads
        of_token = norms + attended + number_bytes * 3 * shape.mlp_width
        seen = self.past + self.new
        of_row = self.new * of_token + number_bytes * seen * 2 * shape.query_width
        once = FP32 * (shape.width + 1) + number_bytes * (2 * shape.head_width + seen)
        return self.rows * (shape.num_layers * of_row + self.new * once)
