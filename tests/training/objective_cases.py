"""A receiver whose answers are written down, and batches played with it."""

import torch
from torch.nn import functional

from parley.agents.readout import Answers
from parley.agents.receiver import Context, Receiver
from parley.channels.base import ChannelOutput, Policy, SoftPrompt, TextInput, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel
from parley.channels.testing import ENDS
from parley.envs.world import objects_world
from parley.training.loss import Loss, ObjectiveWeights
from parley.training.objective import OBJECTIVES, of_messages
from parley.training.step import MessageBatch, MessageTokens, PlayedBatch, ReceiverPasses

NULL = 0  # the message number of a prefix of zeros
PASSES = ("normal", "shuffle", "null", "text", "all_pairs")
NAMES = OBJECTIVES.names()
OF_MESSAGES = [name for name in NAMES if of_messages(OBJECTIVES.find(name).needs)]
OF_PLAY = [name for name in NAMES if name not in OF_MESSAGES]


class Telephone(Receiver):
    """Context c under message m is answered by `logits[c, m]`, over a vocabulary of all tokens there are.

    A prefix's first number is the message's; message 0 is the content-free prefix, and a text is
    its message's number in words.
    """

    def __init__(self, logits, label_ids):
        self.table, self.label_ids = logits, torch.tensor(label_ids)
        self.calls, self.with_gradient, self.at_start = [], [], []

    def answer(self, context, receiver_input):
        if isinstance(receiver_input, TextInput):
            messages = torch.tensor([int(text) for text in receiver_input.texts])
        else:
            messages = receiver_input.vectors[:, 0, 0].round().long()
            self.at_start.append(receiver_input.at_start)
        contexts = context.ids[:, 0].repeat_interleave(len(messages) // len(context.ids))
        self.calls.append(list(zip(contexts.tolist(), messages.tolist(), strict=True)))
        self.with_gradient.append(torch.is_grad_enabled())
        answers = self.table[contexts, messages]
        return Answers(answers[:, self.label_ids[: context.num_candidates]], answers)

    def nll(self, answers, choices, among):
        if among == "choices":
            return functional.cross_entropy(answers.logits, choices, reduction="none")
        return functional.cross_entropy(answers.read, self.label_ids[choices], reduction="none")


def contexts(num, num_candidates):
    ids = torch.arange(num)[:, None]
    return Context((), ids, torch.ones_like(ids, dtype=torch.bool), num_candidates)


def numbered(messages, at_start=False):
    """Prefixes of one slot that hold nothing but their message's number."""
    return SoftPrompt(torch.tensor(messages, dtype=torch.float32)[:, None, None].expand(-1, 1, 3), at_start)


def make_messages(vectors, shares=None, losses=None, latents=None, pooled=None, views=None):
    """Messages that were not played; what is not given is zeros."""
    num, slots = len(vectors), vectors.shape[1]
    shares = torch.zeros(num, slots, 1) if shares is None else shares
    return MessageBatch(
        utterance=Utterance(["1"] * num, torch.zeros(num, 1, 2), torch.ones(num, 1, dtype=torch.bool)),
        output=ChannelOutput(SoftPrompt(vectors), losses or {}, vectors if latents is None else latents),
        pooled=torch.zeros(num, 2) if pooled is None else pooled,
        sender_views=torch.zeros(num, 1, dtype=torch.long) if views is None else views,
        tokens=MessageTokens(torch.eye(10)[: shares.shape[-1], : vectors.shape[-1]], shares),
    )


class Stage:
    """Rows to be played: row r is context r // per_context under message r + 1.

    Args:
        logits: (contexts, messages + 1, tokens) the answers.
        targets: the rows' right candidates.
        per_context: M.
        policy: of the channel.
        label_ids: tokens of the candidates' labels; by default all tokens, in order.
        at_start: where the prefixes stand.
        texts: what the sender said, by default each row's own message.
    """

    def __init__(
        self, logits, targets, per_context=1, policy=None, label_ids=None, at_start=False, texts=None
    ):
        logits = torch.as_tensor(logits, dtype=torch.float32)
        num, label_ids = len(targets), label_ids or list(range(logits.shape[-1]))
        self.receiver = Telephone(logits, label_ids)
        self.targets, self.per_context = torch.tensor(targets), per_context
        prefix = numbered(range(1, num + 1), at_start)
        messages = make_messages(prefix.vectors)
        texts = texts or [str(row + 1) for row in range(num)]
        self.messages = MessageBatch(
            utterance=Utterance(texts, *messages.utterance[1:]),
            output=ChannelOutput(prefix, {}, prefix.vectors, policy),
            pooled=messages.pooled,
            sender_views=messages.sender_views,
            tokens=messages.tokens,
        )
        self.context = contexts(num // per_context, len(label_ids))
        self.null = numbered([NULL] * len(self.context.ids), at_start)

    def answers(self, *needs, among="choices", num_pairs=8):
        """The answers of the passes that are needed."""
        passes = ReceiverPasses(receiver=self.receiver, needs=needs, num_pairs=num_pairs, among=among)
        return passes(self.context, self.messages, self.null, self.targets)

    def played(self, *needs, rewards=None, **settings):
        """The batch; by default nothing is paid."""
        rewards = torch.zeros(len(self.targets)) if rewards is None else torch.tensor(rewards).float()
        return PlayedBatch(
            **vars(self.messages),
            targets=self.targets,
            per_context=self.per_context,
            answers=self.answers(*needs, **settings),
            rewards=rewards,
        )


def make_step(logits, targets, per_context=1, rewards=None, among="choices", num_pairs=8, **staged):
    """A batch with every pass that its contexts allow."""
    stage = Stage(logits, targets, per_context, **staged)
    needs = [need for need in PASSES if need != "shuffle" or len(targets) > per_context]
    return stage.played(*needs, rewards=rewards, among=among, num_pairs=num_pairs)


def make_policy(log_probabilities, entropy=None):
    given = torch.tensor(log_probabilities, requires_grad=True)
    return Policy(given, torch.zeros(len(given)) if entropy is None else torch.tensor(entropy))


def make_channel(num_slots=2, latent_width=3):
    return ContinuousChannel(CodecConfig(k=num_slots, latent_width=latent_width), ENDS)


def make_objective(name, world=None, channel=None, **settings):
    """An objective by name, by default of latents (B, 2, 3) about the default world."""
    kind = OBJECTIVES.find(name)
    return kind(kind.Config(**settings), channel or make_channel(), world or objects_world())


def value_of(name, batch, **settings):
    return make_objective(name, **settings)(batch)


def make_loss(among="choices", settings=None, **weights):
    objectives = ObjectiveWeights(weights=weights, settings=settings or {}, among=among)
    return Loss(objectives, make_channel(), objects_world())


def evaluate(loss, batch):
    """The weighted sum and all terms, as a step makes them."""
    terms = loss.of_messages(batch)
    if isinstance(batch, PlayedBatch):
        terms |= loss.of_play(batch)
    return loss(terms), terms
