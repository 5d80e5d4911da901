"""What crosses the wire: `parley.channels.register` makes a class known by name.

It is looked up when it is asked for, so that `import channels` imports neither torch nor any channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.channels.registry import register as register
else:

    def __getattr__(name: str) -> Any:
        """`register`, and nothing else."""
        if name != "register":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from parley.channels.registry import register

        return register
