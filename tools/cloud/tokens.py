"""Tokens and ids of the local cloud: shaped like the real ones, drawn at random."""

from __future__ import annotations

import base64
import json
import secrets
import string

# Cognito's access tokens are over 1 KB; a board that only ever saw short ones would prove nothing.
_ACCESS_TOKEN_LEN = 1200
_LETTERS = string.ascii_letters + string.digits


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def access_token(user_id: str, now: float, lifetime_s: float) -> str:
    """A JWT-shaped token of about 1.2 KB. Its claims are only for clients that look; the server
    knows its tokens by heart and checks no signature."""
    claims = {
        "sub": user_id,
        "token_use": "access",
        "iat": int(now),
        "exp": int(now + lifetime_s),
        "jti": secrets.token_hex(16),
        "custom:user_id": user_id,
    }
    header = _segment(json.dumps({"kid": secrets.token_hex(22), "alg": "RS256"}).encode())
    signature = _segment(secrets.token_bytes(256))
    missing = _ACCESS_TOKEN_LEN - len(header) - len(signature) - 2
    padding = missing * 3 // 4 - len(json.dumps(claims | {"scope": ""}))
    claims["scope"] = secrets.token_urlsafe(max(padding, 0))[: max(padding, 0)]
    return f"{header}.{_segment(json.dumps(claims).encode())}.{signature}"


def thing_token() -> str:
    """43 characters, as thethings.io shows them in its panel."""
    return secrets.token_urlsafe(32)


def short_id() -> str:
    """22 letters and digits, as the real ids: none looks like an option on a command line."""
    return "".join(secrets.choice(_LETTERS) for _ in range(22))
