"""What a codec learns by: fresh episodes, one frozen pair, one optimiser step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from parley.agents.choosing import pick
from parley.agents.pair import Pair, ReceiverView
from parley.channels.base import Channel, TextInput
from parley.channels.tensor_file import NotFiniteError, check_finite
from parley.envs.batched import BatchedEnv
from parley.envs.rules import RECEIVER, SENDER
from parley.envs.world import Referents
from parley.training.config import TrainConfig
from parley.training.episodes import Episodes
from parley.training.loss import Loss
from parley.training.metrics import StepMetrics
from parley.training.step import ContextBatch, MessageBatch, PlayedBatch, ReceiverPasses
from parley.training.token_targets import TokenTargets
from parley.training.validation import check_sent


class Learner:
    """One channel between one frozen pair, and the steps by which it learns.

    Args:
        channel: the codec; the only thing that changes.
        pair: sender and receiver.
        config: how.

    Raises:
        ValueError: if the channel cannot go through this training, or an objective does not suit it.
    """

    def __init__(self, channel: Channel, pair: Pair, config: TrainConfig) -> None:
        config.check_channel(channel)
        self.config, self.pair = config, pair
        self.channel = channel.to(pair.device).train()
        self.loss = Loss(config.objectives, channel, pair.world).to(pair.device)
        self.trainable = nn.ModuleDict({"channel": channel, "loss": self.loss})
        self.optimizer = AdamW(
            self.trainable.parameters(),
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
        )
        self.rng = np.random.default_rng(config.seed)
        game = config.find_game(pair.world, "train")
        self.episodes = Episodes(game, config.messages_per_context, config.fixed_episodes, config.seed)
        self.env = BatchedEnv(game, channel.message_space)
        self.ask_receiver = ReceiverPasses(
            receiver=pair.receiver,
            needs=config.objectives.needs,
            num_pairs=config.objectives.num_pairs,
            among=config.objectives.among,
        )
        self.train_utterances = pair.calibrate(channel)
        self.targets = TokenTargets.of_training(
            pair, channel.num_slots, config.first_tokens_only, config.labels
        )
        self.step_number = 0

    def step(self) -> dict[str, Any]:
        """One optimiser step; returns what is logged, losses in nats.

        Raises:
            NotFiniteError: as `learn`.
        """
        self._start_quantizing_when_due()
        if self.step_number < self.config.alignment_steps:
            return self.learn(self.loss.of_messages(self.send(self.sample_sender_views())))
        return self.play(self.sample_contexts())

    def play(self, contexts: ContextBatch) -> dict[str, Any]:
        """One step in which the receiver plays: send, receive, losses, backward."""
        batch = self.send(contexts.sender_views, contexts.seen)
        # gradients of one tensor add up in the order of its uses, so to the last bit this order matters
        terms = self.loss.of_messages(batch)
        played = self.receive(batch, contexts)
        terms |= self.loss.of_play(played)
        return self.learn(terms) | {"success": played.rewards.mean().item()}

    def sample_sender_views(self) -> Referents:
        """Random training referents (B, A), whose messages are aligned without a receiver."""
        everyone = self.pair.world.referents("train")
        size = min(self.config.alignment_batch, len(everyone))
        return everyone[self.rng.choice(len(everyone), size, replace=False)]

    def sample_contexts(self) -> ContextBatch:
        """Begin episodes in the environment; the receiver reads each context once."""
        config = self.config
        played = self.step_number - config.alignment_steps
        episodes = self.episodes.draw(config.batch_size, played, self.rng)
        observations, _ = self.env.reset(options={"episodes": episodes})
        targets = torch.tensor([episode.target for episode in episodes], device=self.pair.device)
        views = observations[RECEIVER]["candidates"]
        contexts = list(views[:: config.messages_per_context])
        context = self.pair.read(contexts, cached=not self.channel.at_start)
        return ContextBatch(episodes, observations[SENDER]["target"], views, targets, context)

    def send(self, sender_views: Referents, seen: ReceiverView | None = None) -> MessageBatch:
        """The messages about sender views (B, A), and what comes of them through the channel."""
        utterance = self.pair.speak(self.channel, sender_views, seen)
        output = self.channel(utterance)
        assert not isinstance(output.receiver_input, TextInput), "a channel that is trained delivers no text"
        return MessageBatch(
            utterance=utterance,
            output=output,
            pooled=self.channel.pooled(utterance),
            sender_views=torch.from_numpy(sender_views).to(self.pair.device),
            tokens=self.targets.of(self.pair.world.index(sender_views)),
        )

    def receive(self, batch: MessageBatch, contexts: ContextBatch) -> PlayedBatch:
        """The messages cross in the environment, the receivers answer, and it pays for their choices.

        What the receivers get is the relay's, through which gradient flows; in eval mode, and so in
        validation, it is what the environment delivers.
        """
        messages = batch.output.messages
        if messages is None:
            with torch.no_grad():
                messages = self.channel.send(batch.utterance)
        check_sent(messages)
        self.env.step({SENDER: messages})
        null = self.channel.null_input(len(contexts.context.mask))
        answers = self.ask_receiver(contexts.context, batch, null, contexts.targets)
        check_finite({"what the receiver answers": answers["normal"].logits})
        choices = pick(answers["normal"].logits, self._tie_rng)
        rewards = self.env.step({RECEIVER: choices}).rewards[RECEIVER]
        return PlayedBatch(
            **vars(batch),
            targets=contexts.targets,
            per_context=self.config.messages_per_context,
            answers=answers,
            rewards=torch.from_numpy(rewards).float().to(self.pair.device),
        )

    def _tie_rng(self, row: int) -> np.random.Generator:
        """What breaks a tie in one row of the next step; `self.rng` draws the episodes alone."""
        return np.random.default_rng([self.config.seed, self.step_number, row])

    def learn(self, terms: Mapping[str, Tensor]) -> dict[str, Any]:
        """Weighted sum, gradient, optimiser; returns what is logged.

        Raises:
            NotFiniteError: if the loss, its gradient or what they make of the weights is not finite.
        """
        loss = self.loss(terms)
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss.item()}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step_number)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trainable.parameters(), self.config.max_grad_norm)
        if not torch.isfinite(norm):
            raise NotFiniteError(f"the gradient's norm is {norm.item()}")
        self.optimizer.step()
        if not torch.isfinite(nn.utils.get_total_norm(list(self.trainable.parameters()))):
            raise NotFiniteError("some weights are not finite")
        self.step_number += 1
        metrics = StepMetrics(
            step=self.step_number,
            loss=loss.item(),
            grad_norm=norm.item(),
            learning_rate=self.config.learning_rate_at(self.step_number),
        )
        return {**metrics, **{name: term.item() for name, term in terms.items()}, **self.channel.logged()}

    def _start_quantizing_when_due(self) -> None:
        due = self.step_number >= int(self.config.continuous_share * self.config.steps)
        if due and not self.channel.ready:
            assert self.train_utterances is not None, "a channel that is quantised needs no scene"
            self.channel.start_quantizing(self.train_utterances)
