"""Everything that a test run said, every secret that it used, and whether one is in the other.

`watch()` notes what passes by, in all tests, and changes nothing: what boards print, what the local
clouds log, what tests print; Wi-Fi passwords, proofs of possession, tokens, mapping secrets, link
ids, accounts, and the keys of every BLE session, computed again on the client's side.
"""

from __future__ import annotations

import contextlib
import functools
import json
import pickle
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from esp_protocomm.proto import wifi_config_pb2
from esp_protocomm.security1 import Security1
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from tools.cloud.server import LocalCloud
from tools.provision import binding
from tools.sim.board import SimBoard

from .board import GAP, Board
from .forms import MIN_LEN, Forms, forms
from .stored import namespaces

POP = "proof of possession"
WIFI = "Wi-Fi password"
CLOUD = "cloud secret"
LINK = "link id"
MAPPING = "mapping secret"
SESSION = "session key"
TOKEN = "token"
NODE_KEY = "node key"

_STORED = {
    ("wifi", "password"): WIFI,
    ("identity", "pop"): POP,
    ("identity", "thing_token"): TOKEN,
    ("thethings", "link_id"): LINK,
    ("rainmaker", "secret"): MAPPING,
    ("rainmaker", "token"): TOKEN,
    ("credentials", "scalar"): NODE_KEY,
}
# The lines for the person who holds the board, which may show its proof of possession.
_BANNER = re.compile(r"  (proof of possession: |QR: \{|link: https://)")
_TOLD = re.compile(r"(  (?:proof of possession: (?!none)|QR: (?=\{)|link: (?=https://))).*")
_TOLD_POP = re.compile(r"  proof of possession: (?!none)(\S+)")
# What a board answers in the raw REPL when `homing label` asks it what to print.
_ASKED = re.compile(r">R\x01[^ -~]*@label \{")
_LINK_ID = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True)
class Finding:
    """A secret in a text. Its own text never shows the secret."""

    where: str
    what: str
    how: str
    line: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.how}) in: {self.line}"


class Record:
    """What was said and what must not be in it."""

    def __init__(self) -> None:
        self.secrets: dict[bytes, set[str]] = defaultdict(set)
        # line → where it was seen first; lines of the banner for the person apart
        self.lines: dict[str, str] = {}
        self.banner: dict[str, str] = {}
        self.sources: set[str] = set()
        self.merged = 0  # records of other processes in this one
        self._sessions: list[Security1] = []
        self._known = Forms()
        self._boards: list[Board] = []

    # -- notes -------------------------------------------------------------------------------

    def secret(self, value: str | bytes, what: str) -> None:
        data = value.encode() if isinstance(value, str) else bytes(value)
        if len(data) >= MIN_LEN:
            self.secrets[data].add(what)

    def text(self, where: str, text: str) -> None:
        self.sources.add(where.partition(" ")[0])
        for line in text.splitlines():
            self.lines.setdefault(line, where)

    def board_log(self, where: str, log: str) -> None:
        """A board's output; its banner counts as one only while it has no network."""
        self.sources.add(where.partition(" ")[0])
        unprovisioned = False
        for line in log.splitlines():
            if line.startswith(("@state ", "@boot ")):
                # From "unprovisioned" to "advertising": only there is the banner.
                unprovisioned = line.startswith('@state {"state": "unprovisioned"')
            elif line == GAP:
                unprovisioned = True  # perhaps: the line that would tell is among those lost
            told = (unprovisioned and _BANNER.match(line)) or _ASKED.match(line)
            into = self.banner if told else self.lines
            into.setdefault(line, where)

    def session(self, security: Security1) -> None:
        self._sessions.append(security)

    def board(self, board: Board) -> None:
        self._boards.append(board)

    def sent(self, security: Security1, data: bytes) -> None:
        """Plain text of a request."""
        config = wifi_config_pb2.WiFiConfigPayload()
        with contextlib.suppress(DecodeError):
            config.ParseFromString(data)
            if config.HasField("cmd_set_config"):
                self.secret(config.cmd_set_config.passphrase, WIFI)
        self.secret(_user_secret(data), MAPPING)
        fragment = binding.CloudBindPayload()
        with contextlib.suppress(DecodeError):
            fragment.ParseFromString(data)
            piece = fragment.cmd_payload
            if piece.total_len and piece.payload:
                self._bind_piece(security, piece.offset, piece.payload, piece.total_len)

    def _bind_piece(self, security: Security1, offset: int, payload: bytes, total: int) -> None:
        have = security.__dict__.setdefault("_seen_by_leaks", bytearray())
        if offset == 0:
            have.clear()
        have += payload
        if len(have) == total:
            with contextlib.suppress(ValueError, AttributeError):
                fields = json.loads(bytes(have))
                self.secret(str(fields.get("secret_key", "")), MAPPING)
                self.secret(str(fields.get("access_token", "")), TOKEN)

    def received(self, data: bytes) -> None:
        """Plain text of an answer."""
        for link_id in _LINK_ID.findall(data):
            self.secret(link_id, LINK)

    # -- several processes -------------------------------------------------------------------

    def packed(self) -> bytes:
        """Everything noted here, for the process that searches for all."""
        self.finish()
        return pickle.dumps((dict(self.secrets), self.lines, self.banner, self.sources))

    def merge(self, packed: bytes) -> None:
        """Take in what another process of this run has packed."""
        secrets, lines, banner, sources = pickle.loads(packed)  # noqa: S301 - of this very run
        for secret, kinds in secrets.items():
            self.secrets[secret] |= kinds
        for mine, theirs in ((self.lines, lines), (self.banner, banner)):
            for line, where in theirs.items():
                mine.setdefault(line, where)
        self.sources |= sources
        self.merged += 1

    # -- the search --------------------------------------------------------------------------

    def finish(self) -> None:
        """Take in what only now is complete."""
        for board in self._boards:
            self.board_log(f"serial {board.address}", board.log.replace("\r", ""))
        self._boards.clear()
        self._finish_sessions()

    def _finish_sessions(self) -> None:
        for security in self._sessions:
            self.secret(security.pop, POP)
            for key in _session_keys(security):
                self.secret(key, SESSION)
        # There may be more to know of one whose handshake is under way.
        self._sessions = [s for s in self._sessions if s.device_public_key is None]

    def redacted(self, text: str) -> str:
        """The text with every secret that is known by now replaced by its kind, in whatever form;
        and with nothing of what a board tells the person who holds it."""
        for pop in _TOLD_POP.findall(text):
            self.secret(pop, POP)
        self._finish_sessions()
        for secret, kinds in self.secrets.items():
            self._known.add(secret, " and ".join(sorted(kinds)))
        return self._known.replaced(_TOLD.sub(r"\1<not in this file>", text))

    def kinds(self) -> set[str]:
        return {kind for kinds in self.secrets.values() for kind in kinds}

    def search(self) -> list[Finding]:
        """Every line that gives a secret away."""
        self.finish()
        index: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        index_banner: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for secret, kinds in self.secrets.items():
            what = " and ".join(sorted(kinds))
            for form, how in forms(secret).items():
                entry = (form, what, how)
                index[form[:MIN_LEN]].append(entry)
                if kinds != {POP}:
                    index_banner[form[:MIN_LEN]].append(entry)
        return [*_search(self.lines, index), *_search(self.banner, index_banner)]


def _search(
    lines: dict[str, str], index: dict[str, list[tuple[str, str, str]]]
) -> Iterator[Finding]:
    for line, where in lines.items():
        for start in range(len(line) - MIN_LEN + 1):
            for form, what, how in index.get(line[start : start + MIN_LEN], ()):
                if line.startswith(form, start):
                    yield Finding(where, what, how, line.replace(form, "…")[:200])


def _session_keys(security: Security1) -> Iterable[bytes]:
    mine = security._private_key
    yield mine.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    if security.device_public_key is None:
        return
    try:
        shared = mine.exchange(X25519PublicKey.from_public_bytes(security.device_public_key))
    except ValueError:
        return  # not a key
    yield shared
    if security.pop:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(security.pop)
        mask = digest.finalize()
        yield mask
        yield bytes(a ^ b for a, b in zip(shared, mask, strict=True))


def key_forms(der: bytes) -> Iterator[bytes]:
    """What gives a private key away, beside the encodings of forms.py: itself, its secret numbers,
    and the lines of a PEM file."""
    yield der
    try:
        key: Any = serialization.load_der_private_key(der, None)
    except ValueError:
        return  # no key at all, as a test may have it
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = [key.private_numbers().private_value]
    else:
        secret = key.private_numbers()
        numbers = [secret.d, secret.p, secret.q]
    for number in numbers:
        yield number.to_bytes((number.bit_length() + 7) // 8, "big")
        yield str(number).encode()
        yield f"{number:x}".encode()
    plain = serialization.NoEncryption()
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(serialization.Encoding.PEM, form, plain)
        yield from (line for line in pem.splitlines() if not line.startswith(b"-----"))


def _user_secret(data: bytes) -> bytes:
    # Of a request to cloud_user_assoc, which nothing else looks like: field 10 of two texts.
    message = wifi_config_pb2.CmdGetStatus()  # it has no fields of its own
    with contextlib.suppress(DecodeError):
        message.ParseFromString(data)
        for field in UnknownFieldSet(message):
            if field.field_number == 10 and isinstance(field.data, bytes):
                inner = wifi_config_pb2.CmdGetStatus()
                inner.ParseFromString(field.data)
                texts = {f.field_number: f.data for f in UnknownFieldSet(inner)}
                if set(texts) == {1, 2} and all(isinstance(t, bytes) for t in texts.values()):
                    return bytes(texts[2])
    return b""


# -- watching -----------------------------------------------------------------------------------

_run = Record()


def run() -> Record:
    """The record of this test run."""
    return _run


@contextlib.contextmanager
def use(record: Record) -> Iterator[Record]:
    """Let another record take the notes meanwhile."""
    global _run
    before, _run = _run, record
    try:
        yield record
    finally:
        _run = before


def _board_closed(board: SimBoard) -> Callable[[], None]:
    files = board.files() if board.boots else {}
    world = board.world

    def done() -> None:
        if not any(path.startswith("lib/homing/") for path in files):
            return  # a test of the simulator itself: nothing of ours ran there
        for point in world.access_points:
            _run.secret(point.password, WIFI)
        for name, values in namespaces(files).items():
            for key, value in values.items():
                if (name, key) in _STORED and isinstance(value, str | bytes):
                    _run.secret(value, _STORED[name, key])
                if (name, key) == ("credentials", "key") and isinstance(value, bytes):
                    for secret in key_forms(value):
                        _run.secret(secret, NODE_KEY)
        _run.board_log(f"board {board.name}", board.log)

    return done


@functools.cache  # once per process
def watch() -> None:
    """Take notes of everything from now on."""

    def around(owner: type, name: str, note: Callable[..., Callable[..., None] | None]) -> None:
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
            after = note(self, *args)
            result = plain(self, *args, **kwargs)
            if after:
                after()
            return result

        setattr(owner, name, watched)

    around(Security1, "__init__", lambda s, *_: _run.session(s))
    around(Security1, "encrypt", lambda s, data: _run.sent(s, bytes(data)))
    around(Board, "__init__", lambda b, *_: _run.board(b))
    around(SimBoard, "close", _board_closed)
    _watch_results()


def _watch_results() -> None:
    decrypt, mpremote, stop = Security1.decrypt, Board.mpremote, LocalCloud.stop

    @functools.wraps(decrypt)
    def decrypted(self: Security1, data: bytes) -> bytes:
        plain = decrypt(self, data)
        _run.received(plain)
        return plain

    @functools.wraps(mpremote)
    def said(self: Board, *args: str, **kwargs: Any) -> str:
        output = mpremote(self, *args, **kwargs)
        _run.text("mpremote", output)
        return output

    @functools.wraps(stop)
    async def stopped(self: LocalCloud) -> None:
        await stop(self)
        for secret in self.secrets():
            _run.secret(secret, CLOUD)
        _run.text("cloud", "\n".join(map(str, self.log)))

    Security1.decrypt = decrypted  # type: ignore[method-assign]
    Board.mpremote = said  # type: ignore[method-assign]
    LocalCloud.stop = stopped  # type: ignore[method-assign]
