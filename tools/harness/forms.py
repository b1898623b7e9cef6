"""What a secret looks like in a text, and how to take it out of one."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator

MIN_LEN = 8  # shorter ones are in every text by chance


def forms(secret: bytes) -> dict[str, str]:
    """Text that gives the secret away → the name of the encoding."""
    text = secret.decode("utf-8", errors="surrogateescape")
    digits = secret.hex()
    made = {
        ", ".join(map(str, secret)): "list of numbers",
        urllib.parse.quote(secret, safe=""): "URL",
        urllib.parse.quote(secret): "URL",
        urllib.parse.quote_plus(secret): "URL",
        json.dumps(text)[1:-1]: "JSON",
        repr(text)[1:-1]: "repr",
        ascii(text)[1:-1]: "repr",
        repr(secret)[2:-1]: "repr",
        secret.decode("latin-1"): "raw",  # the plainest name comes last, and wins
        text: "raw",
    }
    for separator in ("", ":", " ", "-"):
        for spelled in (digits, digits.upper()):
            pairs = [spelled[i : i + 2] for i in range(0, len(spelled), 2)]
            made[separator.join(pairs)] = "hex"
            made["".join("\\x" + pair for pair in pairs)] = "repr"
            made["".join("%" + pair for pair in pairs)] = "URL"
    for shift in range(3):  # inside something longer it may begin at any of three places
        padded = bytes(shift) + secret
        whole = slice((8 * shift + 5) // 6, 8 * len(padded) // 6)
        made[base64.b64encode(padded).decode()[whole]] = "base64"
        made[base64.urlsafe_b64encode(padded).decode()[whole]] = "base64"
    return {form: how for form, how in made.items() if len(form) >= MIN_LEN}


class Forms:
    """Forms of many secrets, to be replaced in texts by their kinds."""

    def __init__(self) -> None:
        self._added: set[bytes] = set()
        self._by_beginning: dict[str, dict[str, str]] = defaultdict(dict)

    def add(self, secret: bytes, kind: str) -> None:
        if secret not in self._added:
            self._added.add(secret)
            for form in forms(secret):
                self._by_beginning[form[:MIN_LEN]][form] = kind

    def replaced(self, text: str) -> str:
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        at = done = 0
        while at < len(text):
            here = self._by_beginning.get(text[at : at + MIN_LEN], {})
            form = max((f for f in here if text.startswith(f, at)), key=len, default=None)
            if form is None:
                at += 1
            else:
                yield f"{text[done:at]}<{here[form]}>"
                at = done = at + len(form)
        yield text[done:]
