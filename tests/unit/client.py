# The client's side of Security 1, for tests that need a session and not a recorded one. Its
# cryptography is ours; the recorded vectors and the host tests use other people's.

from hashlib import sha256

from named import SESSION_DATA, decode, encode
from support import unhex

from homing.crypto import x25519
from homing.crypto.aes_ctr import AesCtr
from homing.protocomm.router import REQ, SEC, VER, Protocomm
from homing.protocomm.security1 import Security1
from homing.provisioning.config import ConfigEndpoint
from homing.provisioning.ctrl import CtrlEndpoint
from homing.provisioning.scan import ScanEndpoint
from homing.provisioning.version import version_json

SESSION = 7


class Board:
    """The endpoints of a provisioning service, and what they asked main to do.

    make: what makes the security scheme of `post`, in place of Security 1 with the pop.
    """

    def __init__(self, pop=b"abcd1234", auto_stop=True, make=None):
        self.asked = []
        post = self.asked.append
        self.security = make(post) if make else Security1(pop, post)
        self.config = ConfigEndpoint(post)
        self.scan = ScanEndpoint(post, self.config)
        self.ctrl = CtrlEndpoint(self.config, post, auto_stop)
        p = self.protocomm = Protocomm(self.security)
        p.add("prov-ctrl", self.ctrl, REQ)
        p.add("prov-scan", self.scan, REQ)
        p.add("prov-session", self.security.handshake, SEC)
        p.add("prov-config", self.config, REQ)
        p.add("proto-ver", lambda _data: version_json(self.security), VER)

    def handle(self, name, data):
        return self.protocomm.handle(SESSION, name, data)

    def publications(self):
        """What main publishes before each of the recorded requests: {step: function}."""
        config = self.config
        bssid = unhex("a0b1c2d3e4f5")
        found = [(b"guest", unhex("a0b1c2d3e4f6"), 11, -80, 0), (b"myssid", bssid, 6, -47, 3)]
        return {
            "status-connecting": lambda: config.connecting(1),
            "status-attempt": lambda: config.attempt_failed(1, 2),
            "status-connected": lambda: config.connected(1, "192.168.1.23", 3, b"myssid", bssid, 6),
            "status-autherr": lambda: config.failed(1, 0),
            "status-notfound": lambda: config.failed(1, 1),
            "scan-start": lambda: self.scan.publish(found),
        }


def command(number, name, fields):
    return encode(SESSION_DATA, {"sec_ver": 1, "sec1": {"msg": number, name: fields}})


class Client:
    """handle: a function (endpoint, bytes) -> bytes."""

    def __init__(self, handle, pop=b"abcd1234", private=bytes(range(32))):
        self._handle = handle
        self._pop = pop
        self._private = private
        self.public = x25519.public_key(private)

    def command0(self):
        reply = decode(
            SESSION_DATA,
            self._handle("prov-session", command(0, "sc0", {"client_pubkey": self.public})),
        )["sec1"]
        assert reply["msg"] == 1 and "status" not in reply["sr0"]
        self.device_public = reply["sr0"]["device_pubkey"]
        key = x25519.shared_secret(self._private, self.device_public)
        if self._pop:
            mask = sha256(self._pop).digest()
            key = bytes([key[i] ^ mask[i] for i in range(32)])
        self.stream = AesCtr(key, reply["sr0"]["device_random"])

    def command1(self):
        proof = self.stream.crypt(self.device_public)
        reply = decode(
            SESSION_DATA,
            self._handle("prov-session", command(2, "sc1", {"client_verify_data": proof})),
        )["sec1"]
        assert reply["msg"] == 3
        assert self.stream.crypt(reply["sr1"]["device_verify_data"]) == self.public

    def handshake(self):
        self.command0()
        self.command1()

    def ask(self, name, plain):
        return self.stream.crypt(self._handle(name, self.stream.crypt(plain)))
