"""Files that appear whole or not at all."""

from parley.channels.files import atomic_write as atomic_write
