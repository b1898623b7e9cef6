"""What answers at 192.168.4.1 and is not the board: somebody without its code, or another firmware.

Messages are built by hand from protocomm's .proto files, keys by `cryptography`.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tools.sim.image import PROJECT

_PAGE = PROJECT / "lib/homing/provisioning/portal.html.gz"


def _field(number: int, value: bytes) -> bytes:
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return head + bytes([len(value)]) + value


def _session(number: int, member: bytes) -> bytes:
    """SessionData of Security 1 with message `number`."""
    return b"\x10\x01" + _field(11, bytes([0x08, number]) + _field(20 + number, member))


class FakeBoard:
    """Serves the page and `prov`, the section of proto-ver; asked: endpoints of the POSTs.

    It speaks Security 1 if `prov` says so, but has no proof of possession: it accepts every proof
    and makes up its own.
    """

    def __init__(self, **prov: object) -> None:
        fake = self
        self.asked: list[str] = []
        self._version = json.dumps({"prov": {"ver": "netprov-v1.2"} | prov}).encode()
        self._sec_ver = prov["sec_ver"]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802 - its name
                self._send(200, _PAGE.read_bytes(), gzip=True)

            def do_POST(self) -> None:  # noqa: N802
                data = self.rfile.read(int(self.headers["Content-Length"]))
                answer = fake._answer(self.path[1:], data)
                self._send(403 if answer is None else 200, answer or b"")

            def _send(self, status: int, body: bytes, gzip: bool = False) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if gzip:
                    self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = ("127.0.0.1", self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, endpoint: str, data: bytes) -> bytes | None:
        self.asked.append(endpoint)
        if endpoint == "proto-ver":
            return self._version
        if endpoint != "prov-session" or self._sec_ver != 1:
            return None
        if _field(20, b"")[:2] in data[:8]:  # sc0
            public = X25519PrivateKey.generate().public_key().public_bytes_raw()
            return _session(1, _field(2, public) + _field(3, bytes(16)))
        return _session(3, _field(3, bytes(32)))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
