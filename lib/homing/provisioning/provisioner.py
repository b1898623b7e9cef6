# The provisioning service as a library: found over BLE, secured, handed credentials; whoever uses
# it joins the network with their own code and reports back. Needs a running asyncio loop, writes
# no file, touches no Wi-Fi, and leaves nothing behind at exit.

import asyncio
import sys
from collections import deque
from time import ticks_diff, ticks_ms

from micropython import const

from ..protocomm.router import REQ, SEC, VER, Protocomm
from .config import ConfigEndpoint
from .ctrl import CtrlEndpoint
from .intents import Intents
from .reasons import AUTH_ERROR
from .scan import ScanEndpoint
from .version import version_json

# After the client has read "connected" it may still want something (its own endpoints, a second
# look): Espressif's apps do. If nobody ever reads it, the service ends all the same.
_KEEP_MS = const(3000)
_UNREAD_MS = const(30000)
_TICK_MS = const(50)

_ACK = const(b"ok")
_MAX_EVENTS = const(16)
_MAX_INTENTS = const(32)  # main may be away for three seconds, in a scan
_PRECIOUS = const(("credentials", "data", "done", "stopped"))
_STALE_MS = const(20000)  # an older list of networks is made anew for a client
_IDLE_MS = const(120000)  # time to type a proof of possession, not to hold the service
_TIMEOUT_MS = const(1800000)
_WRONG_PROOFS = const(5)


class Event:
    """Something that happened: `kind` and, by kind, more attributes.

    advertising(name) · client · gone · secured · wrong_pop(count) · refused(why) ·
    credentials(ssid, password, bssid, channel) · data(endpoint, data) · reset · done(told) ·
    stopped(why: "timeout" or "wrong proofs")
    """

    def __init__(self, kind, **fields):
        self.kind = kind
        for key, value in fields.items():
            setattr(self, key, value)

    def __repr__(self):
        return "<Event %s>" % self.kind  # never the fields: credentials are among them


class Provisioner:
    """`async with Provisioner(name, pop=…) as p: async for event in p: …`

    name: 1 to 14 bytes beside the manufacturer record. pop: proof of possession (str), or None
    for none at all. scan: a function () -> (ssid, bssid, channel, rssi_dbm, auth) tuples, called
    in main; without it the client cannot list networks. manufacturer: record for the scan
    response, True for the RainMaker one. extra: sections for proto-ver. security: 1, or 0, 2,
    (1, 2), see homing.protocomm.schemes. verifier: (salt, verifier) of Security 2. transports:
    the ways in; BLE alone if None. timeout_ms: how long all of it may take, unless a join is under
    way; wrong_proofs: so many wrong proofs of possession in a row end it; 0: no limit.
    auto_stop=False: it does not end by itself after success either, and a client may provision
    again (prov-ctrl's reprov).
    Raises ValueError for a name that does not fit.
    """

    def __init__(
        self,
        name,
        *,
        pop=None,
        scan=None,
        manufacturer=True,
        extra=None,
        auto_stop=True,
        keep_ms=_KEEP_MS,
        unread_ms=_UNREAD_MS,
        timeout_ms=_TIMEOUT_MS,
        wrong_proofs=_WRONG_PROOFS,
        security=1,
        verifier=None,
        transports=None,
    ):
        self.name = name
        # What counts towards the limits; whoever begins anew after a fault carries it over.
        self.wrong = self.took_ms = 0
        self._at_ms = None
        self._scan = scan
        self._auto_stop = auto_stop
        self._keep_ms = keep_ms
        self._unread_ms = unread_ms
        self._timeout_ms = timeout_ms
        self._wrong_proofs = wrong_proofs
        self._intents = Intents(_MAX_INTENTS)
        self._events = deque((), _MAX_EVENTS)
        self._event = asyncio.Event()
        self._tasks = []
        self._credentials = None
        self._seq = 0
        self._connected_ms = self._read_ms = self._client_ms = self._scanned_ms = None
        self._done = False
        self._fault = None

        post = self._note
        if pop is not None and not isinstance(pop, bytes):
            pop = pop.encode()
        if security == 1:
            from ..protocomm.security1 import Security1

            self._security = Security1(pop, post)
        else:
            from ..protocomm.schemes import scheme

            self._security = scheme(security, pop, verifier, post)
        post = self._intents.post
        self._config = ConfigEndpoint(post)
        self._networks = ScanEndpoint(post, self._config)
        self._on_data = {}
        version = version_json(self._security, extra, scan is not None)
        p = self._protocomm = Protocomm(self._security, self._delivered)
        p.add("prov-ctrl", CtrlEndpoint(self._config, post, auto_stop))
        p.add("prov-scan", self._networks)
        p.add("prov-session", self._security.handshake, SEC)
        p.add("prov-config", self._config)
        p.add("proto-ver", lambda _data: version, VER)
        if transports is None:
            from .ble import BleTransport

            transports = (BleTransport(name, manufacturer=manufacturer),)
        self._transports = transports

    # -- endpoints ---------------------------------------------------------------------------

    def endpoint(self, name, *, on_data=None, reply=None):
        """Add an endpoint of your own, before `async with`.

        on_data(data): called in main, may do anything; the client gets b"ok" at once.
        reply(data) -> bytes: called inside the BLE interrupt: no print, sleep, file, socket.
        Either way data is what the client sent, decrypted. Raises ValueError for a bad name.
        """
        if (on_data is None) == (reply is None):
            raise ValueError("endpoint %r needs either on_data= or reply=" % name)
        if on_data is not None:
            self._on_data[name] = on_data
            post = self._intents.post

            def hand_over(data):
                post(("data", name, bytes(data)))
                return _ACK

            reply = hand_over

        self._protocomm.add(name, reply, REQ)

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self):
        self._rescan()
        try:
            for transport in self._transports:
                transport.start(self._protocomm, self._intents.post)
            # Not before: without Wi-Fi this is the first radio, and keys need its noise.
            while self._security.prepare():
                await asyncio.sleep_ms(0)
            for coroutine in [t.run() for t in self._transports] + [self._work()]:
                self._tasks.append(asyncio.create_task(self._guard(coroutine)))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._emit(Event("advertising", name=self.name))
        return self

    async def __aexit__(self, _type, _value, _traceback):
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        try:
            for transport in self._transports:
                await transport.stop()
        finally:
            self._protocomm.close()
            close = getattr(self._security, "close", None)
            if close:
                close()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._events:
            if self._fault:
                raise self._fault
            if self._done:
                raise StopAsyncIteration
            self._event.clear()
            await self._event.wait()
        return self._events.popleft()

    # -- reports from whoever joins ----------------------------------------------------------

    async def report(self, ok, *, reason=AUTH_ERROR, ip=None, auth=3, bssid=b"", channel=0):
        """Say how the join with the last credentials went.

        ok: true (an address as text will do) or false. reason: AUTH_ERROR or NETWORK_NOT_FOUND.
        The rest is what the client is told about the network (protocol: WifiConnectedState).
        """
        if self._credentials is None:
            raise RuntimeError("report() without credentials: wait for a credentials event first")
        ssid, self._credentials = self._credentials, None
        if not ok:
            self._config.failed(self._seq, reason)
            return
        if ip is None:
            ip = ok if isinstance(ok, str) else "0.0.0.0"
        self._connected_ms = ticks_ms()
        self._config.connected(self._seq, ip, auth, ssid, bssid, channel)

    def attempt_failed(self, remaining):
        """Tell the client that one attempt failed and how many are left."""
        self._config.attempt_failed(self._seq, remaining)

    # -- main's side of the intents ----------------------------------------------------------

    def _emit(self, event):
        # Nobody listening: news is lost, what somebody must act on is not. There are fewer of
        # those than places: credentials wait for a report, done comes once.
        if len(self._events) < _MAX_EVENTS - 4 or event.kind in _PRECIOUS:
            self._events.append(event)
        self._event.set()

    def _rescan(self, stale_ms=0):
        # Not while joining or joined: the radio cannot do both.
        if not self._scan or self._credentials is not None or self._connected_ms is not None:
            return
        now = ticks_ms()
        if self._scanned_ms is None or ticks_diff(now, self._scanned_ms) >= stale_ms:
            found = self._scan()
            # A scan that fails looks like an empty one: it must not replace a list that is good.
            if found or self._scanned_ms is None:
                self._networks.publish(found)
            self._scanned_ms = ticks_ms()

    def _note(self, item):
        # In the interrupt, from the security scheme. The limit holds from this very proof on,
        # wherever main is, and however full its queue.
        kind = item[0]
        if kind == "wrong-pop":
            self.wrong += 1
            if 0 < self._wrong_proofs <= self.wrong:
                self._protocomm.shut = True
            item = (kind, self.wrong)
        elif kind == "secured":
            self.wrong = 0
        self._intents.post(item)

    def _delivered(self, name):
        # In the interrupt: the client has read an answer of this endpoint.
        if name == "prov-config" and self._config.told_connected is not None:
            self._read_ms = ticks_ms()

    async def _guard(self, coroutine):
        # What ends a task of ours must reach whoever iterates, or they would wait for ever.
        try:
            await coroutine
        except Exception as e:  # noqa: BLE001 passed on
            self._fault = e
            self._event.set()

    async def _work(self):
        while not self._done:
            shut = self._protocomm.shut  # looked at first: what led to it is in the queue by now
            item = self._intents.get_nowait()
            if item is not None:
                await self._handle(item)
                continue
            busy = self._security.prepare()
            self._check_idle()
            self._check_end(shut)
            await asyncio.sleep_ms(0 if busy else _TICK_MS)

    async def _handle(self, item):
        kind = item[0]
        if kind == "scan":
            self._rescan()
        elif kind == "apply":
            _kind, self._seq, ssid, password, bssid, channel = item
            self._credentials = ssid
            self._config.connecting(self._seq)
            # Let the answer to apply get out before the radio does something else.
            await asyncio.sleep_ms(1000)
            self._emit(
                Event("credentials", ssid=ssid, password=password, bssid=bssid, channel=channel)
            )
        elif kind == "data":
            try:
                self._on_data[item[1]](item[2])
            except Exception as e:  # noqa: BLE001 the maker's fault must not end the service
                sys.print_exception(e)
            self._emit(Event("data", endpoint=item[1], data=item[2]))
        elif kind == "wrong-pop":
            self._emit(Event("wrong_pop", count=item[1]))
        elif kind == "bad-handshake":
            self._emit(Event("refused", why=item[1]))
        elif kind == "reprov":
            self._connected_ms = self._read_ms = None
            self.took_ms = 0
            self._emit(Event("reset"))
        else:  # client, gone, secured, reset
            self._client_ms = ticks_ms() if kind == "client" else None
            self._emit(Event(kind))
            if kind == "client":
                self._rescan(_STALE_MS)

    def _check_idle(self):
        # Who is connected keeps everybody else out: not for long without proving anything.
        since = self._client_ms
        if since is not None and ticks_diff(ticks_ms(), since) > _IDLE_MS:
            self._client_ms = None
            for transport in self._transports:
                transport.hang_up()

    def _check_end(self, shut):
        now = ticks_ms()
        # Step by step: ticks_ms comes round.
        if self._at_ms is not None:
            self.took_ms += ticks_diff(now, self._at_ms)
        self._at_ms = now
        if self._connected_ms is None:
            if self._credentials is not None:
                return  # a join is under way: it is not in vain
            late = 0 < self._timeout_ms <= self.took_ms
            if shut or late:
                self._protocomm.shut = self._done = True
                self._emit(Event("stopped", why="timeout" if late else "wrong proofs"))
            return
        if not self._auto_stop:
            return
        read_ms = self._read_ms
        # A client that reads on and on does not keep the board from its cloud either.
        over = ticks_diff(now, self._connected_ms) >= self._unread_ms
        if over or (read_ms is not None and ticks_diff(now, read_ms) >= self._keep_ms):
            self._done = True
            self._emit(Event("done", told=read_ms is not None))
