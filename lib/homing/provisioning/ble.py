# The BLE transport: one GATT service, one characteristic per endpoint, on aioble.
#
# The rule (docs/architecture.md, "BLE"): a request is answered inside the WRITE interrupt, and the
# answer is put into the attribute when it is read, only then. Whatever is late, failed or someone
# else's reads as an ATT error, never as an old answer. This is the one file that touches what
# aioble keeps to itself: core.ble_irq, on_read and _value_handle.

import asyncio
import gc

import aioble
import aioble.core
import bluetooth
from micropython import const

from .advert import adv_payload, check_name, endpoint_ids, resp_payload

_IRQ_CENTRAL_CONNECT = const(1)
_IRQ_CENTRAL_DISCONNECT = const(2)
_IRQ_GATTS_WRITE = const(3)
_IRQ_GATTS_READ_REQUEST = const(4)

_ATT_UNLIKELY_ERROR = const(0x0E)

# The ATT limit of a value. The buffers hold one byte more: NimBLE cuts longer writes silently, and
# with the extra byte a cut one shows.
_MAX_LEN = const(512)
_MTU = const(517)

# 160 ms, Espressif's own interval.
_ADV_INTERVAL_US = const(160_000)
_ADV_RENEW_MS = const(60000)  # should advertising have ended unseen
_RETRY_MS = const(200)
_MAX_RETRIES = const(25)
_STOP_MS = const(2000)
_POLL_MS = const(10)

_USER_DESCRIPTION = const(0x2901)

__all__ = ("SERVICE_UUID", "BleTransport", "check_aioble", "check_name")

SERVICE_UUID = "021a9004-0382-4aea-bff4-6b3f1c5adfb4"

# What this file uses of aioble 0.6 beyond the obvious.
_NEEDED = (
    ("aioble", aioble, ("BufferedCharacteristic", "Descriptor", "Service", "advertise", "config")),
    ("aioble", aioble, ("register_services", "stop")),
    ("aioble.core", aioble.core, ("ble", "ble_irq")),
)


def check_aioble():
    """Raise ImportError if the aioble at hand is not one this file knows (0.6)."""
    for label, module, names in _NEEDED:
        for name in names:
            if not hasattr(module, name):
                raise ImportError("this %s has no %s; Homing needs aioble 0.6" % (label, name))
    if not hasattr(aioble.BufferedCharacteristic, "on_read"):
        raise ImportError("this aioble has no on_read; Homing needs aioble 0.6")


_current = None  # the transport that is started


def _irq(event, data):
    # Around aioble's own handlers, not among them: an exception that escapes either would switch
    # the interrupt off for good, and reads would then echo the requests.
    result = None
    transport = _current
    try:
        result = aioble.core.ble_irq(event, data)
    except Exception:  # noqa: BLE001 - see above; a MemoryError at a connect, say
        if transport is not None:
            transport.faults += 1
    if transport is None:
        return result
    try:
        if event == _IRQ_GATTS_READ_REQUEST:
            answer = transport._on_read(data[0], data[1])
            return result if answer is None else answer
        if event == _IRQ_GATTS_WRITE:
            transport._on_write(data[0], data[1])
        elif event == _IRQ_CENTRAL_CONNECT:
            transport._on_connect(data[0])
        elif event == _IRQ_CENTRAL_DISCONNECT:
            transport._on_disconnect(data[0])
    except Exception:  # noqa: BLE001 - an escaping exception switches the interrupt off for good
        transport.faults += 1
        if event == _IRQ_GATTS_READ_REQUEST:
            return _ATT_UNLIKELY_ERROR
    return result


def _advertise_off():
    aioble.core.ble.gap_advertise(None)  # pyright: ignore - the stubs do not know None


def off():
    """Switch BLE off at once, whoever is connected; for when no task will run any more."""
    if _current is not None:
        _current._off()


def let_go():
    """Part with aioble for good, so that both modules can be unloaded; BLE must be off."""
    aioble.core.ble.irq(None)  # pyright: ignore - the stubs do not know None


class _Endpoint(aioble.BufferedCharacteristic):
    # seq counts what makes an answer old: a write here, a connect, a disconnect.
    # answer is (seq, connection handle, bytes) or None, always replaced as a whole.

    def __init__(self, service, uuid, name):
        super().__init__(service, uuid, read=True, write=True, max_len=_MAX_LEN + 1)
        aioble.Descriptor(self, bluetooth.UUID(_USER_DESCRIPTION), read=True, initial=name.encode())
        self.name = name
        self.seq = 0
        self.answer = None

    def forget(self):
        self.seq += 1
        self.answer = None

    def on_read(self, connection):
        # Undecided, so that _irq is asked: aioble forgets a connection whose handle was in use
        # before, if the last one ended while main was busy; the event itself is always right.
        return None


class BleTransport:
    """Offers the endpoints of a protocomm router over BLE.

    name: the advertised name. manufacturer: True (the Home app's switch record), None or bytes.
    Raises ValueError if they do not fit (see check_name).
    """

    in_interrupt = True  # requests are answered there

    def __init__(self, name, *, manufacturer=True, service_uuid=SERVICE_UUID):
        self._resp = resp_payload(name, manufacturer)
        self._adv = adv_payload(bluetooth.UUID(service_uuid))
        self._uuid = service_uuid
        self.name = name
        # Requests that got no answer: refused, failed, or out of memory.
        self.faults = 0
        self._gone = asyncio.ThreadSafeFlag()
        self._task = None
        self._reset()

    def _reset(self):
        self._endpoints = {}
        self._router = None
        self._post = None
        self._conn = None
        self._advertising = False

    def start(self, protocomm, post=None):
        """Switch BLE on and register the service; run() makes it visible.

        protocomm: names(), open(id, self), close(self), handle(id, name, data) -> bytes, and
        delivered(name) if it has one. All but names() are called in the interrupt, and so is
        post(item) with ("client", id) and ("gone", id).
        Raises ValueError for a bad endpoint name, ImportError for an unknown aioble.
        """
        global _current
        if _current is not None:
            raise RuntimeError("a BLE transport is already started")
        check_aioble()
        pairs = endpoint_ids(protocomm.names())
        # From here on stop() has something to undo, should one of the next steps fail.
        _current = self
        # Each endpoint gets buffers of half a KB. Garbage would drive them apart until there is no
        # room for the last, in a heap with several KB to spare: it is collected on the way.
        threshold = gc.threshold()
        gc.threshold(_MAX_LEN)
        try:
            self._register(pairs)
        finally:
            gc.threshold(threshold)
        self._router = protocomm
        self._post = post

    def _register(self, pairs):
        ble = aioble.core.ble
        ble.irq(_irq)
        if not ble.active():
            # Not left to aioble: it would first load a store of pairings, and that writes a file.
            ble.active(True)
        aioble.config(mtu=_MTU)
        # New objects every time: aioble's do not survive its stop().
        service = aioble.Service(bluetooth.UUID(self._uuid))
        endpoints = []
        for name, short_id in pairs:
            uuid = bluetooth.UUID("%s%04x%s" % (self._uuid[:4], short_id, self._uuid[8:]))
            endpoints.append(_Endpoint(service, uuid, name))
        aioble.register_services(service)
        # Registering brings the default name back.
        aioble.config(gap_name=self.name)
        self._endpoints = {e._value_handle: e for e in endpoints}

    async def run(self):
        """Advertise, serve one client at a time, advertise again; until stop() or cancellation."""
        self._task = asyncio.current_task()
        self._advertising = True
        failures = 0
        try:
            while self._advertising:
                try:
                    connection = await aioble.advertise(
                        _ADV_INTERVAL_US,
                        adv_data=self._adv,
                        resp_data=self._resp,
                        timeout_ms=_ADV_RENEW_MS,
                    )
                except asyncio.TimeoutError:
                    continue
                except OSError:
                    failures += 1
                    if failures > _MAX_RETRIES:
                        raise
                    await asyncio.sleep_ms(_RETRY_MS)
                    continue
                failures = 0
                if connection is None:
                    # aioble swallows the cancellation.
                    if self._advertising:
                        raise asyncio.CancelledError
                    return
                if self._conn is not None:
                    # A client that came while main was busy did not stop this advertising.
                    _advertise_off()
                # Not connection.disconnected(): cancelling that would cancel aioble's own task.
                while self._conn is not None:
                    await self._gone.wait()
        finally:
            self._advertising = False
            self._task = None

    async def stop(self):
        """Disconnect, switch BLE off and give the memory back. Idempotent."""
        self._advertising = False
        if _current is not self:
            return
        ble = aioble.core.ble
        try:
            if ble.active():
                # First nobody new comes in, then who is there goes.
                if self._task is not None:
                    self._task.cancel()
                await self._until(lambda: self._task is None)
                _advertise_off()
                self.hang_up()
                await self._until(lambda: self._conn is None)
                # One more turn: aioble's task of the connection sees the disconnect and ends.
                await asyncio.sleep_ms(_POLL_MS)
        finally:
            self._off()

    def hang_up(self):
        """Disconnect the client, if there is one."""
        conn = self._conn
        if conn is not None:
            try:
                aioble.core.ble.gap_disconnect(conn)
            except OSError:
                pass  # the client was faster

    def _off(self):
        global _current
        try:
            # Before the interrupt is taken away: without it a read would be allowed.
            aioble.stop()
            aioble.core.ble.irq(aioble.core.ble_irq)  # as aioble had it
        finally:
            _current = None
            if self._router is not None:
                self._router.close(self)
            self._reset()
            gc.collect()

    async def _until(self, done, timeout_ms=_STOP_MS):
        while not done() and timeout_ms > 0:
            await asyncio.sleep_ms(_POLL_MS)
            timeout_ms -= _POLL_MS

    # -- in the interrupt: no print, sleep, file; shallow calls; nothing may escape --------------

    def _on_connect(self, conn):
        if self._conn is not None:
            # Someone else's advertising let a second client in: not into our session.
            aioble.core.ble.gap_disconnect(conn)
            return
        self._forget()
        self._conn = conn
        if self._router is not None and not self._router.open(conn, self):
            # Nor into the one of a client that came another way.
            self._conn = None
            aioble.core.ble.gap_disconnect(conn)
            return
        if self._post is not None:
            self._post(("client", conn))

    def _on_disconnect(self, conn):
        mine = conn == self._conn
        try:
            if mine:
                self._conn = None
                self._forget()
                self._gone.set()
                if self._router is not None:
                    self._router.close(self)
                if self._post is not None:
                    self._post(("gone", conn))
        finally:
            # Here and not in run(): main may be inside a scan of two seconds. It also covers a
            # connect that failed, which ends advertising without anyone being told.
            if self._advertising and self._conn is None:
                aioble.core.ble.gap_advertise(_ADV_INTERVAL_US, self._adv, resp_data=self._resp)

    def _forget(self):
        for endpoint in self._endpoints.values():
            endpoint.forget()

    def _on_write(self, conn, handle):
        endpoint = self._endpoints.get(handle)
        router = self._router
        if endpoint is None or router is None:
            return
        ble = aioble.core.ble
        data = ble.gatts_read(handle)
        ble.gatts_write(handle, b"")
        if conn != self._conn:
            return
        endpoint.seq = seq = endpoint.seq + 1
        endpoint.answer = None
        # An empty write is ignored (ESP-IDF does); a cut one is never handed on.
        if not 0 < len(data) <= _MAX_LEN:
            return
        answer = router.handle(conn, endpoint.name, data)
        if len(answer) <= _MAX_LEN:
            endpoint.answer = (seq, conn, bytes(answer))

    def _on_read(self, conn, handle):
        endpoint = self._endpoints.get(handle)
        if endpoint is None:
            return None
        answer = endpoint.answer
        if answer is None or answer[0] != endpoint.seq or answer[1] != conn:
            return _ATT_UNLIKELY_ERROR
        # Every blob of a long read comes through here and gets the same bytes.
        aioble.core.ble.gatts_write(handle, answer[2])
        delivered = getattr(self._router, "delivered", None)
        if delivered is not None:
            delivered(endpoint.name)
        return 0
