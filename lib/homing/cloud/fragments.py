# What an app sends to cloud_bind, in pieces: an encrypted message carries 512 bytes, an access
# token is over 1 KB. Same message as RainMaker's rmaker_claim.proto: PayloadBuf.
#
# Pieces come in order, each starting where the last ended. Offset 0 starts anew; anything else that
# does not fit drops the whole: an app that missed an answer has lost its session and starts over.
# They are never put together: beside BLE the heap has no hole for a whole token. The whole is JSON:
# operation "add" or "remove", secret_key, user_id, access_token.
# Runs in the BLE handler: RAM only, nothing printed.

import json

from micropython import const

from .messages import (
    INVALID_PARAM,
    INVALID_STATE,
    NO_MEMORY,
    SUCCESS,
    bind_reply,
    bind_request,
)

_FRAGMENT_LEN_MAX = const(200)
_TOTAL_LEN_MAX = const(4096)
_LONG = const("*")
_SHORT_LEN_MAX = const(128)
_TEXT_LEN_MAX = const(1024)
_TOKEN_LEN_MAX = const(3072)
_QUOTE = const(0x22)
_BACKSLASH = const(0x5C)


class Fragments:
    """The handler of cloud_bind: bytes → bytes. deliver(pieces) gets the whole as a list of bytes;
    ValueError from it is answered with InvalidParam. allowed: False answers everything with
    InvalidState."""

    def __init__(self, deliver, allowed=True):
        self._deliver = deliver
        self._allowed = allowed
        self._drop()

    def _drop(self):
        self._pieces = []
        self._have = self._total = 0

    def __call__(self, data):
        if not self._allowed:
            return bind_reply(INVALID_STATE)
        offset, payload, total = bind_request(data)
        try:
            return bind_reply(self._add(offset, payload, total))
        except MemoryError:
            self._drop()
            return bind_reply(NO_MEMORY)

    def _add(self, offset, payload, total):
        if offset == 0:
            self._drop()
            self._total = total
        if (
            not 0 < len(payload) <= _FRAGMENT_LEN_MAX
            or not 0 < total <= _TOTAL_LEN_MAX
            or offset != self._have
            or offset + len(payload) > total
            or total != self._total
        ):
            self._drop()
            return INVALID_PARAM
        pieces = self._pieces
        if pieces and len(pieces[-1]) + len(payload) <= _FRAGMENT_LEN_MAX:
            pieces[-1] += payload  # crumbs would cost a block of the heap each
        else:
            pieces.append(payload)
        self._have += len(payload)
        if self._have == total:
            self._drop()
            try:
                self._deliver(pieces)
            except ValueError:
                return INVALID_PARAM
        return SUCCESS


def parse(pieces):
    """(operation, secret, user, token) of the whole; the token stays in pieces.

    Raises ValueError."""
    text, token = _without_long(pieces)
    fields = json.loads(text)  # pyright: ignore[reportArgumentType] - any buffer will do
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    op = fields.get("operation")
    if op not in ("add", "remove"):
        raise ValueError("operation")
    secret = _printable(fields.get("secret_key", ""), 0 if op == "remove" else 1)
    user = _printable(fields.get("user_id", ""), 0)
    short = _printable(fields.get("access_token"), 1)
    if token is None:
        token = [short.encode()]
    elif short != _LONG or sum([len(part) for part in token]) > _TOKEN_LEN_MAX:
        raise ValueError("length")
    for part in token:
        _check_printable(part)
        if b"\\" in part and short == _LONG:
            raise ValueError("escape")  # a long string is not decoded
    return op, secret, user, token


def _printable(value, length_min):
    if not isinstance(value, str) or not length_min <= len(value) <= _SHORT_LEN_MAX:
        raise ValueError("length")
    _check_printable(value.encode())
    return value


def _check_printable(value):
    # A token becomes a header and an id a line in a file: no spaces, no line ends.
    for byte in value:
        if not 0x20 < byte < 0x7F:
            raise ValueError("character")


def _without_long(pieces):
    """(JSON text, pieces) of a JSON text in pieces: its first long string is cut out and left as
    _LONG in the text; None for pieces if there is none. Raises ValueError if what is left is long.
    """
    text = bytearray()
    long = inside = None  # inside: the parts of the string that we are in
    escaped = False
    for piece in pieces:
        start = 0
        for at in range(len(piece)):
            if escaped:
                escaped = False
            elif piece[at] == _BACKSLASH:
                escaped = True
            elif piece[at] == _QUOTE:
                if inside is None:
                    at += 1
                    text.extend(piece[start:at])
                    start = at
                    inside = []
                    continue
                inside.append(piece[start:at])
                start = at
                if long is None and sum([len(part) for part in inside]) > _SHORT_LEN_MAX:
                    long, inside = inside, (_LONG.encode(),)
                for part in inside:
                    text.extend(part)
                inside = None
        rest = piece[start:]
        if inside is None:
            text.extend(rest)
        else:
            inside.append(rest)
        if len(text) > _TEXT_LEN_MAX:
            raise ValueError("too long")
    return text, long
