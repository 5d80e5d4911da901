"""Cross-play: one codec sends, another receives; do two trainings arrive at the same language?"""

from __future__ import annotations

from collections.abc import Sequence

from parley.channels.base import Channel, Message, ReceiverInput, Utterance


class CrossedChannel(Channel):
    """The sending half of one trained channel with the receiving half of another.

    Args:
        sending: encodes.
        receiving: decodes.

    Raises:
        ValueError: if what one sends is not what the other receives.
    """

    name = "crossed"
    trainable = True

    def __init__(self, sending: Channel, receiving: Channel) -> None:
        super().__init__(sending.config, sending.interface)
        if sending.message_space != receiving.message_space:
            raise ValueError(
                f"crossed channels must share a message space, got {sending.message_space} and "
                f"{receiving.message_space}"
            )
        self.sending, self.receiving = sending, receiving
        self.message_space = sending.message_space
        self.num_slots, self.at_start, self.features = (
            receiving.num_slots,
            receiving.at_start,
            sending.features,
        )

    def send(self, utterance: Utterance) -> list[Message]:
        """As the first channel sends."""
        return self.sending.send(utterance)

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """As the second channel receives."""
        return self.receiving.receive(messages)

    def message_bits(self, message: Message) -> float:
        """As the first channel charges."""
        return self.sending.message_bits(message)
