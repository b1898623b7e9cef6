# prov-config: the client sets credentials, has them tried, and asks how it went
# (network_config.proto; network_provisioning's handlers.c).
#
# Two writers, no shared object: the handler owns what the client said and counts apply_seq; main
# publishes one tuple. A report that belongs to an older apply reads as "connecting".

from time import ticks_ms

from micropython import const

from ..protocomm.errors import Refused
from ..protocomm.protobuf import BYTES, INT, ONEOF, STR, UINT, decode, encode

# Values of msg. The member of a message is field 10 + msg, and a reply's msg the request's + 1.
_GET_WIFI_STATUS = const(0)
_SET_WIFI_CONFIG = const(2)
_APPLY_WIFI_CONFIG = const(4)

PAYLOAD = {  # NetworkConfigPayload, the Wi-Fi part: Thread's members are unknown fields here
    1: INT,  # msg
    10: {},  # cmd_get_wifi_status
    11: {  # resp_get_wifi_status
        1: INT,  # status
        2: INT,  # wifi_sta_state
        10: INT | ONEOF,  # wifi_fail_reason
        11: {  # wifi_connected
            1: STR,  # ip4_addr
            2: INT,  # auth_mode
            3: BYTES,  # ssid
            4: BYTES,  # bssid
            5: INT,  # channel
        },
        12: {1: UINT},  # attempt_failed: attempts_remaining
    },
    12: {1: BYTES, 2: BYTES, 3: BYTES, 4: INT},  # cmd_set_: ssid, passphrase, bssid, channel
    13: {1: INT},  # resp_set_wifi_config: status
    14: {},  # cmd_apply_wifi_config
    15: {1: INT},  # resp_apply_wifi_config: status
}

# Status (constants.proto) and WifiStationState (network_constants.proto).
_SUCCESS = const(0)
_INVALID_ARGUMENT = const(4)
_INTERNAL_ERROR = const(5)
_CONNECTED = const(0)
_CONNECTION_FAILED = const(3)

STARTED = const(0)
APPLYING = const(1)
FAILED = const(2)
CONNECTED = const(3)

_MAX_SSID_LEN = const(32)
_MAX_PASSPHRASE_LEN = const(63)
_BSSID_LEN = const(6)
_MAX_CHANNEL = const(14)

# WifiAuthMode ends at 7 and some clients index a list with it. What the chip reports beyond
# (wifi_auth_mode_t from 8 on) is shown as the mode that makes a client ask for the same thing:
# WAPI_PSK, OWE, WPA3_ENT_192, WPA3_EXT_PSK, WPA3_EXT_PSK_MIXED, DPP, three more enterprise modes.
_MAX_AUTH = const(7)
_AUTH_FROM_8 = b"\x03\x00\x05\x06\x06\x03\x05\x05\x05"
_AUTH_UNKNOWN = const(3)  # WPA2_PSK: the client asks for a password


def client_auth(mode):
    """The chip's authentication mode as a client knows it, 0 to 7."""
    if 0 <= mode <= _MAX_AUTH:
        return mode
    mode -= _MAX_AUTH + 1
    return _AUTH_FROM_8[mode] if 0 <= mode < len(_AUTH_FROM_8) else _AUTH_UNKNOWN


def _reply(msg, fields):
    return encode(PAYLOAD, {1: msg + 1, 11 + msg: fields})


def _status(sta_state, member=10, value=None):
    # Never status=5 here: clients ignore it, and a missing wifi_sta_state reads as Connected.
    return _reply(_GET_WIFI_STATUS, {2: sta_state, member: value})


_CONNECTING = _status(1)


class ConfigEndpoint:
    """Handler of prov-config. post gets ("apply", seq, ssid, passphrase, bssid, channel).

    apply_seq: number of the last apply (0: none yet). told_connected: ticks_ms of the last
    answer if that said "connected", else None.
    """

    def __init__(self, post):
        self._post = post
        self._set = None  # (ssid, passphrase, bssid, channel), used up by apply
        self._forgotten = 0  # applies up to this one were undone by a reset
        self._snapshot = (0, _CONNECTING, STARTED)
        self.apply_seq = 0
        self.told_connected = None

    @property
    def state(self):
        """STARTED, APPLYING, FAILED or CONNECTED."""
        seq, _, state = self._snapshot
        if self._forgotten == self.apply_seq:
            return STARTED
        return state if seq == self.apply_seq else APPLYING

    def forget(self):
        """Back to STARTED: whatever was applied no longer counts."""
        self._forgotten = self.apply_seq
        self._set = None
        self.told_connected = None

    # -- main publishes; seq is the one that came with ("apply", seq, …) ---------------------

    def connecting(self, seq):
        self._snapshot = (seq, _CONNECTING, APPLYING)

    def attempt_failed(self, seq, remaining):
        """One try failed, remaining more will be made."""
        self._snapshot = (seq, _status(1, 12, {1: remaining}), APPLYING)

    def failed(self, seq, reason):
        """Given up; reason: AUTH_ERROR or NETWORK_NOT_FOUND."""
        self._snapshot = (seq, _status(_CONNECTION_FAILED, 10, reason), FAILED)

    def connected(self, seq, ip, auth, ssid, bssid, channel):
        """Joined. ip: text; auth: 0 to 7; ssid, bssid: bytes."""
        state = {1: ip, 2: client_auth(auth), 3: ssid, 4: bssid, 5: channel}
        self._snapshot = (seq, _status(_CONNECTED, 11, state), CONNECTED)

    # -- handler -----------------------------------------------------------------------------

    def __call__(self, data):
        self.told_connected = None  # unless this very answer says so
        message = decode(PAYLOAD, data)
        msg = message.get(1, 0)
        if msg == _GET_WIFI_STATUS:
            return self._get_status()
        if msg == _SET_WIFI_CONFIG:
            command = message.get(12)
            if command is None:
                raise Refused("no cmd_set_wifi_config")
            return _reply(msg, {1: self._set_config(command)})
        if msg == _APPLY_WIFI_CONFIG:
            return _reply(msg, {1: self._apply()})
        raise Refused("unknown message")

    def _get_status(self):
        seq, payload, state = self._snapshot
        if seq != self.apply_seq:
            return _CONNECTING
        if state == CONNECTED:
            if self._forgotten == seq:
                return _CONNECTING  # reprovisioning: that connection is history
            self.told_connected = ticks_ms()
        return payload

    def _set_config(self, command):
        ssid = command.get(1, b"")
        passphrase = command.get(2, b"")
        bssid = command.get(3, b"")
        channel = command.get(4, 0)
        if (
            not 0 < len(ssid) <= _MAX_SSID_LEN
            or len(passphrase) > _MAX_PASSPHRASE_LEN
            or len(bssid) not in (0, _BSSID_LEN)
        ):
            return _INVALID_ARGUMENT
        if not 0 < channel <= _MAX_CHANNEL:
            channel = 0  # a hint only; 0 is "any"
        self._set = (ssid, passphrase, bssid, channel)
        return _SUCCESS

    def _apply(self):
        if self._set is None or self.state not in (STARTED, FAILED):
            return _INTERNAL_ERROR
        seq = self.apply_seq + 1
        self._post(("apply", seq) + self._set)  # refused when main is behind: nothing changes
        self.apply_seq = seq
        self._set = self.told_connected = None
        return _SUCCESS
