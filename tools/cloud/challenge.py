"""RainMaker's other way to map a node: it signs a challenge with the key of its certificate.

`initiate` gives a challenge, an app carries it to the node and the signature back, `verify` checks
it against the certificate that is registered for the node. A challenge is good for one attempt and
for its time. Who passes owns the node; the owner before them does not any more.

Signatures are over the challenge's text: ECDSA with SHA-256, DER, or RSASSA-PSS with SHA-256 and a
salt of 32 bytes. esp_rmaker_chal_resp.c of espressif/esp-rainmaker; rmaker_prov/
challenge_response.py of esp-rainmaker-cli.

UNCONFIRMED: the challenge's length, the time it has when an app names none, error codes, and what
becomes of the former owner's other users.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from . import tokens
from .accounts import Accounts
from .groups import Groups
from .mapping import Mappings
from .nodes import Nodes
from .reply import TEXT_LEN_MAX, failure, fields_of, route, text_field

_CHALLENGE_BYTES = 32
_TIMEOUT_S = 300
_TIMEOUT_MAX_S = 3600
_SIGNATURE_LEN_MAX = 1024  # hexadecimal digits
_SALT_LEN = 32


@dataclasses.dataclass
class ChallengeRequest:
    """status: requested, confirmed, failed (a wrong answer), timedout."""

    request_id: str
    user: str
    challenge: str = dataclasses.field(repr=False)
    at: float  # UTC, seconds
    end: float
    node_id: str = ""  # as the answer said
    status: str = "requested"


class Challenges:
    """The requests, and what became of them."""

    def __init__(
        self,
        utc: Callable[[], float],
        accounts: Accounts,
        mappings: Mappings,
        nodes: Nodes,
        groups: Groups,
    ) -> None:
        self._utc = utc
        self._accounts = accounts
        self._mappings = mappings
        self._nodes = nodes
        self._groups = groups
        self._requests: dict[str, ChallengeRequest] = {}

    @property
    def requests(self) -> list[ChallengeRequest]:
        now = self._utc()
        for request in self._requests.values():
            if request.status == "requested" and now >= request.end:
                request.status = "timedout"
        return list(self._requests.values())

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "/v1/user/nodes/mapping/initiate", self._initiate),
            route("POST", "/v1/user/nodes/mapping/verify", self._verify),
        ]

    async def _initiate(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        fields = await fields_of(request)
        timeout_s = fields.get("timeout", _TIMEOUT_S)
        if type(timeout_s) is not int or not 0 < timeout_s <= _TIMEOUT_MAX_S:
            raise failure(400, "Timeout is invalid", 105010)
        if "group_id" in fields:
            self._groups.owned(user, text_field(fields, "group_id", TEXT_LEN_MAX))
        now = self._utc()
        new = ChallengeRequest(
            tokens.short_id(), user, secrets.token_urlsafe(_CHALLENGE_BYTES), now, now + timeout_s
        )
        self._requests[new.request_id] = new
        return {"status": "success", "request_id": new.request_id, "challenge": new.challenge}

    async def _verify(self, request: web.Request) -> dict[str, Any]:
        user = self._accounts.user_of(request)
        fields = await fields_of(request)
        request_id = text_field(fields, "request_id", TEXT_LEN_MAX)
        node_id = text_field(fields, "node_id", TEXT_LEN_MAX)
        group_id = text_field(fields, "group_id", TEXT_LEN_MAX, empty=True)
        try:
            signature = bytes.fromhex(text_field(fields, "challenge_response", _SIGNATURE_LEN_MAX))
        except ValueError:
            raise failure(400, "Challenge response is invalid", 105011) from None
        if group_id:
            self._groups.owned(user, group_id)
        found = next((r for r in self.requests if r.request_id == request_id), None)
        if found is None or found.user != user:
            raise failure(404, "Request id not found", 105015)
        if found.status != "requested":
            raise failure(400, f"This request is {found.status} already", 105012)
        found.node_id = node_id
        found.status = "failed"  # whatever comes now, this challenge is used
        certificate = self._nodes.certificate(node_id)
        if certificate is None:
            raise failure(404, "Node not found", 105002)
        if not verify(certificate, found.challenge.encode(), signature):
            raise failure(400, "Challenge response does not match the node's certificate", 105011)
        found.status = "confirmed"
        self._mappings.keep_only(node_id, user)
        self._mappings.add(user, node_id)
        if group_id:
            self._groups.add_nodes(user, group_id, [node_id])
        return {"status": "success", "description": "User node mapping is successful"}


def verify(certificate: x509.Certificate, challenge: bytes, signature: bytes) -> bool:
    """Whether the key of that certificate made the signature, in the one way that its kind has."""
    key = certificate.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, challenge, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), _SALT_LEN)
            key.verify(signature, challenge, pss, hashes.SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True
