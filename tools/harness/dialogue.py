"""One connection of unmodified esp-protocomm with one board, as tests want to hold it.

The library does the radio, the handshake, the keystream and the text credentials. It has no call
for some messages (SSIDs that are no text, attempts remaining, prov-ctrl) and turns refusals into
exceptions of its own; those messages are made here from its protobuf classes, and sent through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bleak.exc import BleakGATTProtocolError
from esp_protocomm.ble import BleTransport
from esp_protocomm.proto import wifi_config_pb2
from esp_protocomm.security1 import Security1
from esp_protocomm.session import establish_session
from esp_protocomm.wifi import WifiFailure, WifiState, provision_wifi
from google.protobuf.unknown_fields import UnknownFieldSet

CONFIG = "prov-config"
CTRL = "prov-ctrl"
SESSION = "prov-session"
# WifiAttemptFailed came to network_config.proto after the version that esp-protocomm carries.
_ATTEMPT_FAILED, _ATTEMPTS_REMAINING = 12, 1
_CTRL_RESET = bytes.fromhex("08015a00")
_CTRL_RESET_STATUS = 2
_UNLIKELY = 0x0E  # the ATT error of a request that gets no answer
_AGAIN_S = 1.0
SETTLE_S = 45.0  # how long esp-protocomm waits for the outcome of a join

Payload = wifi_config_pb2.WiFiConfigPayload


@dataclass(frozen=True)
class Status:
    """A get-status reply. The fields of a state it is not in are None."""

    state: WifiState
    failure: WifiFailure | None = None
    attempts_remaining: int | None = None
    ip: str | None = None
    auth: int | None = None
    ssid: bytes | None = None
    bssid: bytes | None = None
    channel: int | None = None

    @property
    def settled(self) -> bool:
        return self.state in (WifiState.CONNECTED, WifiState.CONNECTION_FAILED)


WRONG_PASSWORD = Status(WifiState.CONNECTION_FAILED, WifiFailure.INCORRECT_PASSWORD)
NOT_FOUND = Status(WifiState.CONNECTION_FAILED, WifiFailure.INCORRECT_SSID)


class NotedTransport(BleTransport):
    """esp-protocomm's transport; `note("phone", text)` hears who says how much, and never what."""

    def __init__(self, scan_s: float, note: Callable[[str, str], None]) -> None:
        super().__init__(scan_timeout=scan_s)
        self._note = note

    async def connect(self, name: str) -> None:
        self._note("phone", f"looks for {name}")
        await super().connect(name)
        self._note("phone", "connected; endpoints: " + ", ".join(self.endpoints))

    async def disconnect(self) -> None:
        if self._client is not None:
            self._note("phone", "hangs up")
        await super().disconnect()

    async def send(self, endpoint: str, data: bytes) -> bytes:
        asked = f"{endpoint}: {len(data)} bytes"
        try:
            reply = await super().send(endpoint, data)
        except Exception as error:
            self._note("phone", f"{asked}, {type(error).__name__}: {error}")
            raise
        self._note("phone", f"{asked}, answer: {len(reply)} bytes")
        return reply


class Dialogue:
    """`async with bench.dialogue() as d: await d.secure(pop)`; or open() and close()."""

    def __init__(
        self,
        name: str,
        scan_s: float,
        note: Callable[[str, str], None] = lambda _source, _text: None,
    ) -> None:
        self.name = name
        self.transport = NotedTransport(scan_s, note)
        self.security: Security1 | None = None

    async def open(self) -> Dialogue:
        await self.transport.connect(self.name)
        return self

    async def close(self) -> None:
        await self.transport.disconnect()

    async def __aenter__(self) -> Dialogue:
        return await self.open()

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def secure(self, pop: str) -> None:
        """Security 1 handshake; raises SecurityError for a wrong proof of possession."""
        self.security = await establish_session(self.transport, Security1(pop))

    async def secure_by(self, scheme: Callable[[], Any]) -> None:
        """The same by another scheme (tools.provision.schemes), anew for every try: a handshake of
        Security 2 fails one time in 128 by a leading zero, and a person tries again."""
        for left in range(3, -1, -1):
            try:
                self.security = await establish_session(self.transport, scheme())
                return
            except BleakGATTProtocolError as error:
                if error.code != _UNLIKELY or not left:
                    raise
                await asyncio.sleep(_AGAIN_S)

    async def ask(self, endpoint: str, data: bytes) -> bytes:
        """One encrypted request, answered; BleakGATTProtocolError when it is refused."""
        security = self._secured()
        reply = await self.transport.send(endpoint, security.encrypt(data))
        return security.decrypt(reply)

    async def refused(self, endpoint: str, data: bytes) -> bool:
        """Whether an encrypted request gets no answer but the ATT error of the board's rule."""
        try:
            await self.ask(endpoint, data)
        except BleakGATTProtocolError as error:
            return error.code == 0x0E
        return False

    async def send(self, endpoint: str, data: bytes) -> bytes | None:
        """The answer to raw bytes, None when they are refused."""
        try:
            return await self.transport.send(endpoint, data)
        except BleakGATTProtocolError as error:
            assert error.code == 0x0E, error
            return None

    # -- prov-config -------------------------------------------------------------------------

    async def _config(self, request: Payload) -> Any:
        reply = Payload()
        reply.ParseFromString(await self.ask(CONFIG, request.SerializeToString()))
        return reply

    async def set(self, ssid: bytes, passphrase: bytes = b"", **fields: Any) -> int:
        """Set credentials as raw bytes; the reply's status. fields: bssid, channel."""
        request = Payload(msg=wifi_config_pb2.TypeCmdSetConfig)
        request.cmd_set_config.ssid = ssid
        request.cmd_set_config.passphrase = passphrase
        for name, value in fields.items():
            setattr(request.cmd_set_config, name, value)
        return (await self._config(request)).resp_set_config.status

    async def apply(self) -> int:
        """Have the credentials tried; the reply's status."""
        request = Payload(msg=wifi_config_pb2.TypeCmdApplyConfig)
        return (await self._config(request)).resp_apply_config.status

    async def status(self) -> Status:
        request = Payload(msg=wifi_config_pb2.TypeCmdGetStatus)
        request.cmd_get_status.SetInParent()
        reply = (await self._config(request)).resp_get_status
        state = WifiState(reply.sta_state)
        if state is WifiState.CONNECTION_FAILED:
            return Status(state, WifiFailure(reply.fail_reason))
        if state is WifiState.CONNECTED:
            on = reply.connected
            return Status(
                state,
                ip=on.ip4_addr,
                auth=on.auth_mode,
                ssid=on.ssid,
                bssid=on.bssid,
                channel=on.channel,
            )
        return Status(state, attempts_remaining=_attempts_remaining(reply))

    async def settled(self, poll_s: float = 1.0, seen: list[Status] | None = None) -> Status:
        """Poll until joined or failed, as long as esp-protocomm would; TimeoutError."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                status = await self.status()
                if seen is not None and (not seen or seen[-1] != status):
                    seen.append(status)
                if status.settled:
                    return status
                await asyncio.sleep(poll_s)

    async def join(self, ssid: bytes, passphrase: bytes = b"", **options: Any) -> Status:
        """Set, apply and wait for the outcome, with credentials of any bytes."""
        assert await self.set(ssid, passphrase) == 0
        assert await self.apply() == 0
        return await self.settled(**options)

    async def provision(self, ssid: str, password: str) -> Status:
        """The same by esp-protocomm alone; then one status of ours, for its details."""
        theirs = await provision_wifi(self.transport, self._secured(), ssid, password)
        ours = await self.status()
        assert (theirs.state, theirs.failure) == (ours.state, ours.failure)
        return ours

    # -- prov-ctrl ---------------------------------------------------------------------------

    async def reset(self) -> int:
        """Take back a failed join; the reply's status."""
        reply = UnknownFieldSet(_parsed(await self.ask(CTRL, _CTRL_RESET)))
        return next((f.data for f in reply if f.field_number == _CTRL_RESET_STATUS), 0)

    def _secured(self) -> Security1:
        assert self.security is not None, "secure() first"
        return self.security


def _parsed(data: bytes) -> Any:
    # Any message keeps what it does not know: an empty one knows nothing.
    message = wifi_config_pb2.CmdGetStatus()
    message.ParseFromString(data)
    return message


def _attempts_remaining(reply: Any) -> int | None:
    for field in UnknownFieldSet(reply):
        if field.field_number == _ATTEMPT_FAILED:
            inner = UnknownFieldSet(_parsed(field.data))
            return next((f.data for f in inner if f.field_number == _ATTEMPTS_REMAINING), 0)
    return None
