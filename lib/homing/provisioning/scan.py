# prov-scan: the networks main saw last (network_scan.proto; network_provisioning's handlers.c).
# A handler cannot scan: main scans and publishes, scan-start pins that list for paging and asks
# for a fresh one.

from micropython import const

from ..protocomm.errors import Refused
from ..protocomm.protobuf import BOOL, BYTES, INT, UINT, decode, encode
from .config import APPLYING, client_auth

# Values of msg. The member of a message is field 10 + msg, and a reply's msg the request's + 1.
_START = const(0)
_STATUS = const(2)
_RESULT = const(4)

WIFI_SCAN_RESULT = {1: BYTES, 2: UINT, 3: INT, 4: BYTES, 5: INT}  # ssid channel rssi bssid auth
PAYLOAD = {  # NetworkScanPayload, the Wi-Fi part
    1: INT,  # msg
    2: INT,  # status
    10: {1: BOOL, 2: BOOL, 3: UINT, 4: UINT},  # start: blocking, passive, group_channels, period_ms
    11: {},
    12: {},  # status
    13: {1: BOOL, 2: UINT},  # scan_finished, result_count
    14: {1: UINT, 2: UINT},  # result: start_index, count
    15: {1: (WIFI_SCAN_RESULT,)},  # entries
}

# Status (constants.proto).
_SUCCESS = const(0)
_INTERNAL_ERROR = const(5)

_MAX_NETWORKS = const(16)


class ScanEndpoint:
    """Handler of prov-scan. post gets ("scan",) when a client wants a fresh list.

    config: the ConfigEndpoint; while it is applying, scan-start is answered with status 5.
    """

    def __init__(self, post, config=None):
        self._post = post
        self._config = config
        self._snapshot = None  # tuple of encoded WifiScanResult, replaced as a whole
        self._pinned = ()

    def publish(self, networks):
        """Main: (ssid, bssid, channel, rssi_dbm, auth) of each network seen.

        Kept: the strongest of each SSID, at most 16, strongest first; hidden ones are dropped.
        """
        best = {}
        for network in networks:
            ssid = bytes(network[0])
            known = best.get(ssid)
            if ssid and (known is None or known[3] < network[3]):
                best[ssid] = network
        best = sorted(best.values(), key=lambda network: -network[3])
        self._snapshot = tuple(
            [
                encode(
                    WIFI_SCAN_RESULT,
                    {1: bytes(ssid), 2: channel, 3: rssi, 4: bytes(bssid), 5: client_auth(auth)},
                )
                for ssid, bssid, channel, rssi, auth in best[:_MAX_NETWORKS]
            ]
        )

    def __call__(self, data):
        message = decode(PAYLOAD, data)
        msg = message.get(1, 0)
        command = message.get(10 + msg)
        status = _SUCCESS
        if msg not in (_START, _STATUS, _RESULT):
            raise Refused("unknown message")
        if command is None:
            if msg != _STATUS:  # whose member some clients leave out
                raise Refused("no member")
            command = {}
        reply = b""
        if msg == _START:
            status = self._start()
        elif msg == _STATUS:
            reply = {1: True, 2: len(self._pinned)}
        else:
            reply = {1: self._page(command.get(1, 0), command.get(2, 0))}
        return encode(PAYLOAD, {1: msg + 1, 2: status, 11 + msg: reply})

    def _start(self):
        networks = self._snapshot
        if networks is None or (self._config and self._config.state == APPLYING):
            return _INTERNAL_ERROR
        self._pinned = networks
        try:
            self._post(("scan",))
        except Refused:
            pass  # main is behind; the list at hand will do
        return _SUCCESS

    def _page(self, start, count):
        # Refused like upstream: a client never gets fewer entries than it asked for.
        end = start + count
        if start >= _MAX_NETWORKS or end > _MAX_NETWORKS or (count and end > len(self._pinned)):
            raise Refused("no such scan result")
        return self._pinned[start:end]
