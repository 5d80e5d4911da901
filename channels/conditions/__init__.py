"""Conditions under which every channel is played: one file each. `base` says what one is."""

from parley.channels.conditions.base import Condition as Condition
from parley.channels.conditions.base import Told as Told
from parley.channels.conditions.base import condition_names as condition_names
from parley.channels.conditions.base import conditions as conditions
from parley.channels.conditions.base import find_condition as find_condition
from parley.channels.conditions.base import register as register
