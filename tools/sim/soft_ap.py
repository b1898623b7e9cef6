"""The access point of a board, and the phones that join it.

    phone = board.soft_ap.join(b"PROV_490004", b"secret123")  # from any thread
    host, port = phone.address(80)                            # a relay to the board's port 80

A phone reaches the board's servers through relays of its own on loopback, under a source address of
its own, so that the board can tell phones apart. They break when the phone leaves or is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .channel import Channel, SimError
from .net import SOFT_AP_ADDRESS, Relays
from .wifi import OPEN

if TYPE_CHECKING:
    from .world import World

_MIN_KEY_LEN = 8
_MAX_CHANNEL = 13
_LEASES = 253  # 192.168.4.2 to .254; then the oldest address is given away again
_CONFIG: dict[str, Any] = {"channel": 1, "hidden": False, "authmode": OPEN, "max_clients": 4}


class NoSuchNetwork(ConnectionError):
    """No access point of that name is on the air, or it is full."""


class WrongPassword(ConnectionError):
    """The access point refused the password."""


class SoftAp:
    """One board's access point. Public methods and fields may be used from any thread.

    drops: phones lose it when it follows the station to another channel, as many do on a chip;
    otherwise they follow.
    """

    def __init__(
        self, world: World, mac: bytes, server: Callable[[int], tuple[str, int] | None]
    ) -> None:
        self._world = world
        self._server = server  # (port) -> loopback address of the board's server there, or None
        self.mac = mac[:5] + bytes([mac[5] + 1 & 0xFF])
        self.drops = False
        self.phones: list[SoftApPhone] = []
        self._all: list[SoftApPhone] = []  # also those that have left
        self.reset()

    def reset(self) -> None:
        """The chip has been reset or lost its power."""
        self.switch(False)
        self.ssid = f"ESP_{self.mac[3:].hex().upper()}".encode()
        self.password = b""
        self._config = dict(_CONFIG)
        self._station_channel: int | None = None

    def attach(self, channel: Channel) -> None:
        channel.register("ap.config", self._configure)
        channel.register("ap.get", self._get)
        channel.register("ap.stations", lambda: [phone.mac.hex() for phone in self.phones])

    @property
    def auth(self) -> int:
        return self._config["authmode"]

    @property
    def channel(self) -> int:
        """Where it really is: with the station, if that is connected."""
        return self._station_channel or self._config["channel"]

    def serves(self, port: int) -> bool:
        """Whether a program of the board listens there."""
        return self._server(port) is not None

    # -- operations of the board -------------------------------------------------------------

    def switch(self, on: bool) -> None:
        if not on:
            for phone in list(self.phones):
                phone.lost += 1
                phone._part()
        self.on = on

    def _configure(self, wanted: dict[str, Any]) -> None:
        # esp_wifi_set_config, once for all that one config() has changed.
        if not self.on:
            raise SimError("OSError", "Wifi Invalid Mode")  # "only when the interface is enabled"
        config = self._config | wanted
        password = bytes.fromhex(config.pop("password", self.password.hex()))
        ssid = bytes.fromhex(config.pop("ssid", self.ssid.hex()))
        if config["authmode"] != OPEN and len(password) < _MIN_KEY_LEN:
            raise SimError("OSError", "Wifi Invalid Password")
        if not 1 <= config["channel"] <= _MAX_CHANNEL:
            raise SimError("OSError", 258)  # ESP_ERR_INVALID_ARG
        if (ssid, password, config) != (self.ssid, self.password, self._config):
            self._drop_all()  # the driver begins anew
        self.ssid, self.password, self._config = ssid, password, config

    def _get(self, key: str) -> Any:
        if key == "ssid":
            return self.ssid.decode("utf-8", "replace")
        return self.channel if key == "channel" else self._config[key]

    def follow(self, channel: int | None) -> None:
        """The station has joined on this channel, or is on none. There is one radio."""
        before = self.channel
        self._station_channel = channel
        if self.on and self.drops and self.channel != before:
            self._drop_all()

    def _drop_all(self) -> None:
        for phone in list(self.phones):
            phone.lost += 1
            phone._fall_silent()

    # -- phones ------------------------------------------------------------------------------

    def join(
        self, ssid: bytes | str, password: bytes | str = b"", *, real: Sequence[int] = ()
    ) -> SoftApPhone:
        """A phone joins. Raises NoSuchNetwork, WrongPassword.

        real: ports that it reaches at 192.168.4.1 and their own numbers, for clients that know no
        others; only in a network namespace that has that address.
        """
        ssid = ssid.encode() if isinstance(ssid, str) else ssid
        password = password.encode() if isinstance(password, str) else password
        phone = self._world.do(self._join, ssid, password, SOFT_AP_ADDRESS if real else None)
        for port in real:
            phone.address(port)
        return phone

    def _join(self, ssid: bytes, password: bytes, bind: str | None) -> SoftApPhone:
        phone = SoftApPhone(self, 2 + len(self._all) % _LEASES, ssid, password, bind)
        self._admit(phone)
        self._all.append(phone)
        return phone

    def _admit(self, phone: SoftApPhone) -> None:
        if not self.on or phone.ssid != self.ssid:
            raise NoSuchNetwork(f"no access point {phone.ssid!r} on the air")
        if self.auth != OPEN and phone.password != self.password:
            raise WrongPassword(f"{phone.ssid!r} refused the password")
        if self.auth == OPEN and phone.password:
            raise WrongPassword(f"{phone.ssid!r} is open: a phone that has a password stays away")
        if len(self.phones) >= self._config["max_clients"]:
            raise NoSuchNetwork(f"{phone.ssid!r} has as many stations as it takes")
        self.phones.append(phone)
        phone._arrive()

    def close(self) -> None:
        """The board is thrown away, and with it what its phones had open."""
        for phone in self._all:
            phone._close()

    @property
    def busy(self) -> bool:
        return any(phone.network.busy for phone in self.phones)

    @property
    def in_use(self) -> bool:
        return any(phone.network.in_use for phone in self.phones)


class SoftApPhone:
    """A phone as a station. joined: whether it is (still) in; lost: how often it was dropped."""

    def __init__(
        self, ap: SoftAp, number: int, ssid: bytes, password: bytes, bind: str | None
    ) -> None:
        self._ap = ap
        self.ssid, self.password = ssid, password
        self.ip = f"192.168.4.{number}"
        self.mac = bytes((0x02, 0x50, 0x48, 0, 0, number & 0xFF))
        self.joined = False
        self.lost = 0
        self.network = Relays(
            ap._world.loop,
            lambda _host, port: ap._server(port) if self.joined else None,
            source=(f"127.0.4.{number}", 0),
            bind=bind or "127.0.0.1",
            same_ports=bind is not None,
            awaits=False,
        )

    def address(self, port: int = 80) -> tuple[str, int]:
        """Where this phone's programs find that port of the board, by TCP and by UDP."""
        return self._ap._world.run(self.network.relay(SOFT_AP_ADDRESS, port))

    def leave(self) -> None:
        """It goes, and says so; its connections break."""
        self._ap._world.do(self._part)

    def vanish(self) -> None:
        """It goes without a word: its side of every connection breaks, the board hears nothing."""
        self._ap._world.do(self._fall_silent)

    def rejoin(self) -> None:
        """It joins again. Raises NoSuchNetwork, WrongPassword."""
        self._ap._world.do(self._ap._admit, self)

    def close(self) -> None:
        """It goes, and its relays with it."""

        self._ap._world.do(self._close)

    def _close(self) -> None:
        self._part()
        self.network.close()

    def _arrive(self) -> None:
        self.joined = True
        self.network.flowing.set()

    def _part(self) -> None:
        if self.joined:
            self.joined = False
            self._ap.phones.remove(self)
            self.network.flowing.clear()
        self.network.cut()

    def _fall_silent(self) -> None:
        if self.joined:
            self.joined = False
            self._ap.phones.remove(self)
        self.network.flowing.clear()
        self.network.cut_near()
