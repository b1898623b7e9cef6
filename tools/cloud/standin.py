"""STAND-IN for something that does not exist yet: the node's own report of its mapping secret.

A real RainMaker node reports the secret over MQTT, and only that makes the cloud confirm a mapping.
Homing's board has no MQTT yet. This class plays that report inside the local cloud, by looking at
the secret that the user's request brought: so a mapping confirmed through it proves the board's
HTTPS half and nothing about the other. It goes when the board reports by itself.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

How = Literal["right", "wrong", "never"]


@dataclasses.dataclass(frozen=True)
class _Behaviour:
    how: How
    after_s: float


class NodeSideStandIn:
    """Off until enabled for a node ("*": for every node)."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Behaviour] = {}

    def enable(self, node_id: str = "*", *, after_s: float = 1.0, how: How = "right") -> None:
        """Let this node's side report `after_s` seconds after each request: the same secret, a
        wrong one, or never."""
        if how not in ("right", "wrong", "never"):
            raise ValueError("how is 'right', 'wrong' or 'never'")
        self._nodes[node_id] = _Behaviour(how, after_s)

    def disable(self, node_id: str = "*") -> None:
        self._nodes.pop(node_id, None)

    @property
    def mode(self) -> tuple[How, float] | None:
        """(how, after_s) for every node that has no rule of its own; None: off."""
        behaviour = self._nodes.get("*")
        return behaviour and (behaviour.how, behaviour.after_s)

    def reports_at(self, node_id: str, requested_at: float) -> float | None:
        """When this node's side reports the secret of a request made then; None if it does not."""
        behaviour = self._nodes.get(node_id) or self._nodes.get("*")
        if behaviour is None or behaviour.how != "right":
            return None  # a wrong secret confirms nothing, just as no report at all
        return requested_at + behaviour.after_s
