# The `bluetooth` module of a simulated board: the attribute database and the interrupt rules of
# MicroPython's NimBLE port, with the radio behind the channel to the world.
#
# What it keeps, because code that ignores it fails on the chip:
# - a write beyond the buffer (20 bytes unless set) is cut before the handler sees it, and succeeds;
# - the world sends the Write Response after the handler has returned, its result does not matter;
# - the handler is asked before every read and every blob, 1 to 255 is the ATT error;
# - an exception that escapes prints its traceback and switches the handler off for good;
# - values belong to the attribute, not to the connection; event data is not to be kept.

import sys

import _world
from micropython import const

FLAG_READ = 0x0002
FLAG_WRITE_NO_RESPONSE = 0x0004
FLAG_WRITE = 0x0008
FLAG_NOTIFY = 0x0010
FLAG_INDICATE = 0x0020

_EINVAL = const(22)
_ENODEV = const(19)
_EBUSY = const(16)
_INVALID_HCI_PARAMETERS = -18  # passed on by the binding, as a negative number

_IRQ_CENTRAL_CONNECT = const(1)
_IRQ_CENTRAL_DISCONNECT = const(2)
_IRQ_GATTS_WRITE = const(3)
_IRQ_GATTS_READ_REQUEST = const(4)

_DEFAULT_ATTR_LEN = const(20)
_DEFAULT_MTU = const(256)
_MAX_AD_LEN = const(31)
_LINGER_MS = const(20)


class UUID:
    """16-bit int, 2/4/16 bytes little-endian, or 128-bit text."""

    def __init__(self, value):
        if isinstance(value, int):
            if not 0 <= value <= 0xFFFF:
                raise ValueError("invalid UUID")
            self._data = bytes((value & 0xFF, value >> 8))
        elif isinstance(value, UUID):
            self._data = value._data
        elif not isinstance(value, str) and len(value) in (2, 4, 16):
            self._data = bytes(value)
        else:
            text = (value if isinstance(value, str) else bytes(value).decode()).replace("-", "")
            if len(text) != 32:
                raise ValueError("UUID too short" if len(text) < 32 else "UUID too long")
            self._data = bytes(reversed(bytes.fromhex(text)))

    def __iter__(self):
        # bytes(uuid) works through this; a class in Python cannot offer the buffer protocol.
        return iter(self._data)

    def __len__(self):
        return len(self._data)

    def __eq__(self, other):
        return isinstance(other, UUID) and self._data == other._data

    def __lt__(self, other):
        return self._data < other._data

    def __hash__(self):
        return hash(self._data)

    def __repr__(self):
        text = bytes(reversed(self._data)).hex()
        if len(text) == 4:
            return "UUID(0x%s)" % text
        return "UUID('%s-%s-%s-%s-%s')" % (
            text[:8],
            text[8:12],
            text[12:16],
            text[16:20],
            text[20:],
        )


class _Value:
    def __init__(self):
        self.data = b""
        self.room = _DEFAULT_ATTR_LEN
        self.memory = None
        self.append = False


def _hex(data):
    return None if data is None else bytes(data).hex()


class _BLE:
    def __init__(self):
        self._active = False
        self._handler = None
        self._values = {}
        self._connections = set()
        self._advertising = False
        self._gap_name = b"MPY ESP32"
        self._mtu = _DEFAULT_MTU
        self._mac = None

    # -- general ---------------------------------------------------------------------------------

    def active(self, on=None):
        if on is not None:
            if self._active:
                # Also for active(True): the port starts its stack afresh.
                self._active = False
                self._values = {}
                self._connections = set()
                self._advertising = False
                _world.call("ble.active", False)
                _world.radio("ble", False)
            if on:
                self._mtu = _DEFAULT_MTU
                self._gap_name = b"MPY ESP32"
                kind, address = _world.call("ble.active", True)
                self._mac = (kind, bytes.fromhex(address))
                self._active = True
                _world.radio("ble", True)
        return self._active

    def config(self, *args, **kwargs):
        if not kwargs:
            if len(args) != 1:
                raise TypeError("must query one param")
            return self._get(args[0])
        if args:
            raise TypeError("can't specify pos and kw args")
        for key, value in kwargs.items():
            self._set(key, value)
        return None

    def _get(self, key):
        if key == "gap_name":
            return self._gap_name
        if key == "mac":
            self._need_active()
            return self._mac
        if key == "mtu":
            self._need_active()
            return self._mtu
        raise ValueError("unknown config param")

    def _set(self, key, value):
        if key == "gap_name":
            self._need_active()
            value = value.encode() if isinstance(value, str) else bytes(value)
            if len(value) > _MAX_AD_LEN:
                raise OSError(_EINVAL)
            self._gap_name = value
            _world.call("ble.config", "gap_name", value.hex())
        elif key == "mtu":
            self._need_active()
            if not 23 <= value <= 527:
                raise OSError(_EINVAL)
            self._mtu = value
            _world.call("ble.config", "mtu", value)
        elif key not in ("addr_mode", "bond", "mitm", "io", "le_secure"):
            raise ValueError("unknown config param")

    def irq(self, handler):
        if handler is not None and not callable(handler):
            raise ValueError("invalid handler")
        self._handler = handler

    def _need_active(self):
        if not self._active:
            raise OSError(_ENODEV)

    # -- GAP -------------------------------------------------------------------------------------

    def gap_advertise(
        self, interval_us=500_000, adv_data=None, *, resp_data=None, connectable=True
    ):
        if interval_us is None:
            if self._advertising:
                self._advertising = False
                _world.call("ble.advertise", None, None, None, False)
            return
        self._need_active()
        if adv_data is not None and len(adv_data) > _MAX_AD_LEN:
            raise OSError(_INVALID_HCI_PARAMETERS)
        if resp_data is not None and len(resp_data) > _MAX_AD_LEN:
            raise OSError(_EINVAL)
        self._advertising = True
        _world.call(
            "ble.advertise", interval_us, _hex(adv_data), _hex(resp_data), bool(connectable)
        )

    def gap_disconnect(self, conn_handle):
        self._need_active()
        if conn_handle not in self._connections:
            return False
        _world.call("ble.disconnect", conn_handle)
        return True

    # -- GATT server -----------------------------------------------------------------------------

    def gatts_register_services(self, services):
        self._need_active()
        if self._advertising or self._connections:
            raise OSError(_EBUSY)
        table = []
        for uuid, characteristics in services:
            rows = []
            for row in characteristics:
                if not 2 <= len(row) <= 3:
                    raise ValueError("invalid characteristic tuple")
                descriptors = row[2] if len(row) == 3 else ()
                rows.append(
                    [_uuid(row[0]), row[1] & 0xFFFF, [[_uuid(d[0]), d[1]] for d in descriptors]]
                )
            table.append([_uuid(uuid), rows])
        handles = tuple(tuple(group) for group in _world.call("ble.services", table))
        self._values = {handle: _Value() for group in handles for handle in group}
        self._gap_name = b"MPY ESP32"
        return handles

    def gatts_read(self, value_handle):
        value = self._values.get(value_handle)
        if value is None:
            return b""
        data = value.data
        if value.append:
            value.data = b""
        return data

    def gatts_write(self, value_handle, data, send_update=False):
        self._need_active()
        value = self._value(value_handle)
        data = data.encode() if isinstance(data, str) else bytes(data)
        value.data = data
        # A longer value makes the room grow, for the central's writes too.
        value.room = max(value.room, len(data))
        if send_update:
            for conn_handle in self._connections:
                _world.call("ble.notify", conn_handle, value_handle, data.hex(), False)
        return len(data)

    def gatts_set_buffer(self, value_handle, size, append=False):
        self._need_active()
        value = self._value(value_handle)
        value.room = size
        value.memory = bytearray(size)  # never used: in the port it comes from the same heap
        value.append = bool(append)
        value.data = b""

    def gatts_notify(self, conn_handle, value_handle, data=None):
        self._send(conn_handle, value_handle, data, False)

    def gatts_indicate(self, conn_handle, value_handle, data=None):
        self._send(conn_handle, value_handle, data, True)

    def _send(self, conn_handle, value_handle, data, indicate):
        self._need_active()
        if data is None:
            data = self._value(value_handle).data
        _world.call("ble.notify", conn_handle, value_handle, _hex(data), indicate)

    def _value(self, value_handle):
        value = self._values.get(value_handle)
        if value is None:
            raise OSError(_EINVAL)
        return value

    # -- events ----------------------------------------------------------------------------------

    def _event(self, event, *args):
        # Called by _world's dispatch, never inside another handler; what it returns is the answer.
        if not self._active:
            return [0, ""] if event == _IRQ_GATTS_READ_REQUEST else None
        if event in (_IRQ_CENTRAL_CONNECT, _IRQ_CENTRAL_DISCONNECT):
            if event == _IRQ_CENTRAL_CONNECT:
                self._connections.add(args[0])
                self._advertising = False
            else:
                self._connections.discard(args[0])
            address = bytearray.fromhex(args[2])
            self._call(event, (args[0], args[1], memoryview(address)))
            # The port reuses this memory: whoever kept the view sees it change.
            for i in range(6):
                address[i] = 0xEE
            return None
        if event == _IRQ_GATTS_WRITE:
            value = self._values.get(args[1])
            if value is None:
                return None
            data = bytes.fromhex(args[2])
            if value.append:
                data = value.data + data
            value.data = data[: value.room]
            self._call(event, (args[0], args[1]))
            # Every client reads at once, and main must not be able to win that race by luck.
            _world.linger_ms = _LINGER_MS
            return None
        if event == _IRQ_GATTS_READ_REQUEST:
            status = self._call(event, (args[0], args[1]))
            if isinstance(status, (int, bool)) and status:
                return [int(status), ""]
            value = self._values.get(args[1])
            return [0, value.data.hex()] if value is not None else [0x0A, ""]
        self._call(event, args)
        return None

    def _call(self, event, data):
        handler = self._handler
        if handler is None:
            return None
        _world.in_handler += 1
        try:
            return handler(event, data)
        except Exception as error:  # noqa: BLE001 - exactly this is what the port does
            self._handler = None
            escaped = error
        finally:
            _world.in_handler -= 1
        print("Unhandled exception in IRQ callback handler")
        sys.print_exception(escaped)
        return None


def _uuid(uuid):
    if not isinstance(uuid, UUID):
        raise ValueError("invalid UUID")
    return bytes(uuid).hex()


_ble = _BLE()


def BLE():
    """Return the one radio."""
    return _ble


_world.on("ble.irq", _ble._event)
