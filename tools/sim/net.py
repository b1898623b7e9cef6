"""Names, time and connections: what a board reaches beyond its access point.

A looked-up name becomes a loopback address of a relay that belongs to this board, so real sockets
and real TLS run, under the real host name, and traffic stops when the radio link does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .channel import Channel, SimError

if TYPE_CHECKING:
    from .clock import Clock, WorldLoop

SOFT_AP_ADDRESS = "192.168.4.1"  # ESP-IDF's default
_EAI_FAIL = -202  # what lwip's getaddrinfo gives the port when a name cannot be had
# What a board binds to; the world serves it on loopback.
_OWN = ("", "0.0.0.0", SOFT_AP_ADDRESS)  # noqa: S104
_NTP_PORT = 123
_NTP_1900 = 2208988800
_CHUNK_LEN = 16384
_IP_LOST_S = 120  # ESP-IDF keeps the address that long after a disconnect
_ANSWER_S = 2.0  # real; how long a request keeps the world from skipping time
_QUIET_S = 0.03


class TimeServer(asyncio.DatagramProtocol):
    """An NTP server that tells the world's date."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.up = True
        self.offset_s = 0.0
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, loop: WorldLoop) -> None:
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))

    @property
    def address(self) -> tuple[str, int]:
        assert self._transport
        return self._transport.get_extra_info("sockname")

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        if not self.up or len(data) < 48 or not self._transport:
            return
        seconds = self._clock.utc().timestamp() + self.offset_s + _NTP_1900
        stamp = struct.pack(">II", int(seconds) & 0xFFFFFFFF, int(seconds % 1 * 2**32))
        head = struct.pack(">BBbb", 0x24, 1, 6, -20) + bytes(8) + b"SIM\0"
        self._transport.sendto(head + stamp + data[40:48] + stamp + stamp, addr)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


class _Connection:
    """One TCP connection of a board, in two halves that stop while the link is down."""

    def __init__(self, network: Relays) -> None:
        self._network = network
        self.asked_at = self.moved_at = time.monotonic()
        self.awaiting = True
        self.writers: list[asyncio.StreamWriter] = []

    async def run(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: tuple[str, int] | None,
    ) -> None:
        self.writers.append(writer)
        try:
            if target is None:
                self.cut()
                return
            await self._network.flowing.wait()
            far_reader, far_writer = await asyncio.open_connection(
                *target, local_addr=self._network.source
            )
            self.writers.append(far_writer)
            await asyncio.gather(
                self._pump(reader, far_writer, True), self._pump(far_reader, writer, False)
            )
        except OSError:
            self.cut()
        finally:
            for each in self.writers:
                each.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outward: bool
    ) -> None:
        while data := await reader.read(_CHUNK_LEN):
            await self._network.flowing.wait()
            self.moved_at = time.monotonic()
            self.awaiting = outward
            if outward:
                self.asked_at = self.moved_at
            writer.write(data)
            await writer.drain()
        await self._network.flowing.wait()
        self.awaiting = False
        if writer.can_write_eof():
            writer.write_eof()

    @property
    def busy(self) -> bool:
        """Whether an answer may be under way, so that time must not be skipped."""
        now = time.monotonic()
        if not self._network.flowing.is_set():
            return False
        if now - self.moved_at < _QUIET_S:
            return True
        return self._network.awaits and self.awaiting and now - self.asked_at < _ANSWER_S

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    """Carries datagrams for one name and port to where they are routed."""

    def __init__(self, network: Relays, host: str, port: int) -> None:
        self._network = network
        self._host, self._port = host, port
        self._transport: asyncio.DatagramTransport | None = None
        self._upstream: dict[Any, asyncio.DatagramTransport] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked_at = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._network.flowing.is_set():
            self.asked_at = time.monotonic()
            task = asyncio.get_running_loop().create_task(self._forward(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: bytes, addr: Any) -> None:
        target = self._network.target(self._host, self._port)
        if target is None or not self._transport:
            return
        upstream = self._upstream.get(addr)
        if upstream is None:
            back = _Back(self, addr)
            loop = asyncio.get_running_loop()
            upstream, _protocol = await loop.create_datagram_endpoint(
                lambda: back, remote_addr=target, local_addr=self._network.source
            )
            self._upstream[addr] = upstream
        upstream.sendto(data)

    def answer(self, data: bytes, addr: Any) -> None:
        self.asked_at = 0.0
        if self._transport and self._network.flowing.is_set():
            self._transport.sendto(data, addr)

    def close(self) -> None:
        for transport in self._upstream.values():
            transport.close()
        if self._transport:
            self._transport.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, there: _Datagrams, addr: Any) -> None:
        self._there, self._addr = there, addr

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._there.answer(data, self._addr)


class Relays:
    """Relays on loopback, one for each name and port asked for. Lives on the world's loop.

    `target(host, port)` says where a name leads, or None. Traffic flows while `flowing` is set.
    source: the address from which they connect onward. bind: where they listen; same_ports: at the
    ports' own numbers. awaits: an answer may be under way as long as none came; not where boards
    answer, who say themselves when they are idle.
    """

    def __init__(
        self,
        loop: WorldLoop,
        target: Callable[[str, int], tuple[str, int] | None],
        source: tuple[str, int] | None = None,
        bind: str = "127.0.0.1",
        same_ports: bool = False,
        awaits: bool = True,
    ) -> None:
        self._loop = loop
        self.awaits = awaits
        self.target = target
        self.source = source
        self._bind, self._same_ports = bind, same_ports
        self.flowing = asyncio.Event()
        self._relays: dict[tuple[str, int], tuple[Any, _Datagrams, int]] = {}
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> bool:
        """Whether a connection is open."""
        return bool(self._connections)

    @property
    def busy(self) -> bool:
        """Whether something may be under way on the wire."""
        now = time.monotonic()
        if any(connection.busy for connection in self._connections):
            return True
        return any(now - relay[1].asked_at < _QUIET_S for relay in self._relays.values())

    def cut(self) -> None:
        """Break every connection."""
        for connection in list(self._connections):
            connection.cut()

    def cut_near(self) -> None:
        """Break the near half of every connection; the far one stays, with nobody there."""
        for connection in list(self._connections):
            connection.writers[0].transport.abort()

    def close(self) -> None:
        """Nothing stays."""
        self.cut()
        for task in self._tasks:
            task.cancel()
        for server, datagrams, _port in self._relays.values():
            server.close()
            datagrams.close()
        self._relays.clear()

    async def relay(self, host: str, port: int) -> tuple[str, int]:
        """Where the relay for that name and port is."""
        key = (host.lower(), port)
        if key not in self._relays:
            self._relays[key] = await self._make_relay(*key)
        return self._bind, self._relays[key][2]

    async def _make_relay(self, host: str, port: int) -> tuple[Any, _Datagrams, int]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = _Connection(self)
            self._connections.add(connection)
            task = self._loop.create_task(connection.run(reader, writer, self.target(host, port)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _task: self._connections.discard(connection))

        # Who asks does not say which of the two they will use: both, on one port number.
        for _attempt in range(20):
            server = await asyncio.start_server(accept, self._bind, port if self._same_ports else 0)
            local_port = server.sockets[0].getsockname()[1]
            with contextlib.suppress(OSError):
                _transport, datagrams = await self._loop.create_datagram_endpoint(
                    lambda: _Datagrams(self, host, port), local_addr=(self._bind, local_port)
                )
                return server, datagrams, local_port
            server.close()
        raise SimError("OSError", _EAI_FAIL)


class BoardNetwork(Relays):
    """What one board's sockets can reach, and the servers that it has.

    `target(host, port)` says where the world routes a name, or None; `resolves(host)` whether
    there is such a name; `online()` whether the station has an address and a way out.
    """

    def __init__(
        self,
        loop: WorldLoop,
        target: Callable[[str, int], tuple[str, int] | None],
        resolves: Callable[[str, int], bool],
        online: Callable[[], bool],
    ) -> None:
        super().__init__(loop, lambda host, port: target(host, port) if online() else None)
        self._resolves = resolves
        self._online = online
        self.lookups: list[tuple[str, int]] = []
        self.served: dict[int, int] = {}  # a board's server port -> the loopback port it is on
        self._lost: asyncio.TimerHandle | None = None

    def attach(self, channel: Channel) -> None:
        channel.register("net.lookup", self._lookup)

    def link(self, address: bool, frames: bool) -> None:
        """The station says whether it has an address and whether frames get through."""
        if address and frames:
            if self._lost:
                self._lost.cancel()
                self._lost = None
            self.flowing.set()
            return
        self.flowing.clear()
        if not address and self._lost is None and self._connections:
            self._lost = self._loop.call_later(_IP_LOST_S, self.cut)

    def cut(self) -> None:
        """Break every connection, as when the address is lost."""
        if self._lost:
            self._lost.cancel()
            self._lost = None
        super().cut()

    def close(self) -> None:
        """The board has no power: nothing of it stays."""
        super().close()
        self.served.clear()

    def server(self, port: int) -> tuple[str, int] | None:
        """Where a server of the board is on loopback, if it has bound that port."""
        return ("127.0.0.1", self.served[port]) if port in self.served else None

    async def _lookup(self, host: str, port: int) -> list[Any]:
        if host in _OWN:
            return ["127.0.0.1", self._serve(port)]
        self.lookups.append((host, port))
        if not self._online() or not self._resolves(host, port):
            raise SimError("OSError", _EAI_FAIL)
        return list(await self.relay(host, port))

    def _serve(self, port: int) -> int:
        if port not in self.served:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.served[port] = probe.getsockname()[1]
        return self.served[port]
