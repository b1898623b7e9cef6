# The SoftAP transport: an access point of the board's own, and protocomm over HTTP on it
# (network_provisioning's scheme_softap.c).

import gc

from .http import HttpServer

ADDRESS = "192.168.4.1"  # ESP-IDF's default, which Espressif's clients take for granted

_MAX_SSID_LEN = 32
_MIN_PASSWORD_LEN = 8
_MAX_PASSWORD_LEN = 63
_OPEN = 0  # wifi_auth_mode_t
_WPA2 = 3
_MAX_STATIONS = 5

_current = None  # the transport that is started


def check_access_point(name, password):
    """The password as bytes, b"" for none. Raises ValueError if name or password cannot be used."""
    if not 0 < len(name.encode()) <= _MAX_SSID_LEN:
        raise ValueError("the access point's name %r must have 1 to 32 bytes" % name)
    if not password:
        return b""
    if not isinstance(password, bytes):
        password = password.encode()
    if not _MIN_PASSWORD_LEN <= len(password) <= _MAX_PASSWORD_LEN:
        # Never the password itself: this text may be printed.
        raise ValueError(
            "the access point's password has %d bytes; WPA2 takes 8 to 63 (None: open to all)"
            % len(password)
        )
    return password


def off():
    """Switch the access point off at once; for when no task will run any more."""
    if _current is not None:
        _current._off()


class SoftApTransport(HttpServer):
    """Offers the endpoints of a protocomm router over HTTP, on an access point of the board.

    ap: the interface (homing.wifi.access_point()). name: its SSID. password: 8 to 63 bytes, None
    for an open one. channel: a function () -> 1 to 11 or None, asked at start: the home network's,
    for an access point must move there when the board joins it, and phones may get lost on the
    way. page, shared: see HttpServer. Raises ValueError for what cannot be used.
    """

    def __init__(self, ap, name, password=None, *, channel=None, page=None, shared=False, port=80):
        super().__init__(ADDRESS, port, page=page, shared=shared)
        self.name = name
        self._password = check_access_point(name, password)
        self._ap = ap
        self._channel = channel

    def start(self, protocomm, post=None):
        """Switch the access point on and listen; run() answers. See HttpServer.start()."""
        global _current
        if _current is not None:
            raise RuntimeError("an access point is already started")
        _current = self
        settings = {
            "ssid": self.name,
            "security": _WPA2 if self._password else _OPEN,
            "key": self._password,
            "max_clients": _MAX_STATIONS,
            "channel": (self._channel and self._channel()) or 1,
        }
        ap = self._ap
        try:
            # So that it is never seen under another name, or open; but ESP-IDF promises only that
            # an interface that is on can be set up.
            ap.config(**settings)
        except OSError:
            pass
        ap.active(True)
        ap.config(**settings)
        super().start(protocomm, post)

    async def stop(self):
        """Close everything, switch the access point off and give the memory back. Idempotent."""
        if _current is self:
            try:
                await super().stop()
            finally:
                self._off()

    def _off(self):
        global _current
        try:
            self.off()
        finally:
            _current = None
            self._ap.active(False)
            gc.collect()
