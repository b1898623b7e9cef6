"""The node's side of a mapping, for boards that have no credentials for MQTT.

Such a board hands the cloud a user's token and a secret itself, over HTTPS; but RainMaker confirms
a mapping only when the node has reported the same secret over MQTT. In a simulated world this class
makes that report, `after_s` of the cloud's time after each request, so that such boards can be
mapped there; never for a node with a certificate, which can speak for itself.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from tools.cloud.mapping import MappingRequest
from tools.cloud.rainmaker import RainMaker

How = Literal["right", "wrong", "never"]


@dataclasses.dataclass(frozen=True)
class _Behaviour:
    how: How
    after_s: float


class NodeReports:
    """Reports for a node ("*": for every node without a certificate) once that is enabled."""

    def __init__(self, rainmaker: RainMaker) -> None:
        self._rainmaker = rainmaker
        self._nodes: dict[str, _Behaviour] = {}
        rainmaker.mapping.on_request.append(self._asked)

    def enable(
        self, node_id: str = "*", *, after_s: float = 1.0, how: How = "right"
    ) -> NodeReports:
        """Report so of this node from the next request on: the same secret, another, or never."""
        if how not in ("right", "wrong", "never"):
            raise ValueError("how is 'right', 'wrong' or 'never'")
        self._nodes[node_id] = _Behaviour(how, after_s)

    def disable(self, node_id: str = "*") -> None:
        self._nodes.pop(node_id, None)

    def _asked(self, request: MappingRequest) -> None:
        behaviour = self._nodes.get(request.node_id)
        if behaviour is None and self._rainmaker.nodes.certificate(request.node_id) is None:
            behaviour = self._nodes.get("*")
        if behaviour is None or behaviour.how == "never":
            return
        secret = request.secret if behaviour.how == "right" else f"not {request.secret}"
        at = request.at + behaviour.after_s
        self._rainmaker.mapping.report(request.node_id, secret, request.user, at=at)
