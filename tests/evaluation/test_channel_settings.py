"""Settings of channels without weights, from the command line."""

import re

import pytest

from parley.channels.text_budget import TextBudgetConfig
from parley.evaluation.playing.channel_settings import settings_of
from parley.evaluation.playing.entries import enter

PLAYING = ("silence", "text", "text_budget", "latent_vq")


def test_settings_add_up_and_reach_the_channel(pocket_pair):
    found = settings_of(["text_budget.budget=3", "text_budget.unit=tokens"], PLAYING)
    assert found == {"text_budget": TextBudgetConfig(budget=3, unit="tokens")}
    channel = enter("text_budget", pocket_pair, None, config=found["text_budget"]).channel
    assert channel.config == found["text_budget"]
    assert enter("text_budget", pocket_pair, None).channel.config == TextBudgetConfig()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("text_budget.budget", "settings must be of the form NAME.SETTING=VALUE, got 'text_budget.budget'"),
        ("budget=3", "settings must be of the form NAME.SETTING=VALUE, got 'budget=3'"),
        ("latent_vq.k=3", "those of 'latent_vq' come with its checkpoint"),
        ("text_budget.budgets=3", "did you mean 'budget'"),
        ("text_budget.budget=0", "budget must be from 1 to 65536, got 0"),
        ("text_budget.budget=many", "settings of channel 'text_budget' cannot be used: "),
        ("cipher.depth=1", "unknown setting of channel 'cipher' 'depth'"),
        ("text_budgets.budget=3", "unknown channel 'text_budgets', did you mean 'text_budget'"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settings_of([given], PLAYING)


def test_a_channel_that_does_not_play_gets_none():
    with pytest.raises(ValueError, match="settings must be of channels that play, got 'text_"):
        settings_of(["text_budget.budget=3"], ("silence", "text"))
