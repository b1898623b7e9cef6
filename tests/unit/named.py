# Espressif's messages by the names of their .proto files: the board's tables have numbers only.
#
# Same names and same calls as homing.protocomm.protobuf, with dicts {name: value}.

from homing.protocomm import protobuf
from homing.protocomm.security1 import SESSION_DATA as _SESSION_DATA
from homing.provisioning import config, ctrl, scan


class Named:
    # names: {name: number, or (number, names of the message that it is)}
    def __init__(self, schema, names):
        self.schema = schema
        self.names = names


_STATUS = {"status": 1}

SESSION_DATA = Named(
    _SESSION_DATA,
    {
        "sec_ver": 2,
        "sec0": (10, {}),
        "sec1": (
            11,
            {
                "msg": 1,
                "sc0": (20, {"client_pubkey": 1}),
                "sr0": (21, {"status": 1, "device_pubkey": 2, "device_random": 3}),
                "sc1": (22, {"client_verify_data": 2}),
                "sr1": (23, {"status": 1, "device_verify_data": 3}),
            },
        ),
        "sec2": (12, {}),
    },
)
NETWORK_CONFIG_PAYLOAD = Named(
    config.PAYLOAD,
    {
        "msg": 1,
        "cmd_get_wifi_status": (10, {}),
        "resp_get_wifi_status": (
            11,
            {
                "status": 1,
                "wifi_sta_state": 2,
                "wifi_fail_reason": 10,
                "wifi_connected": (
                    11,
                    {"ip4_addr": 1, "auth_mode": 2, "ssid": 3, "bssid": 4, "channel": 5},
                ),
                "attempt_failed": (12, {"attempts_remaining": 1}),
            },
        ),
        "cmd_set_wifi_config": (12, {"ssid": 1, "passphrase": 2, "bssid": 3, "channel": 4}),
        "resp_set_wifi_config": (13, _STATUS),
        "cmd_apply_wifi_config": (14, {}),
        "resp_apply_wifi_config": (15, _STATUS),
    },
)
_ENTRY = {"ssid": 1, "channel": 2, "rssi": 3, "bssid": 4, "auth": 5}
WIFI_SCAN_RESULT = Named(scan.WIFI_SCAN_RESULT, _ENTRY)
NETWORK_SCAN_PAYLOAD = Named(
    scan.PAYLOAD,
    {
        "msg": 1,
        "status": 2,
        "cmd_scan_wifi_start": (
            10,
            {"blocking": 1, "passive": 2, "group_channels": 3, "period_ms": 4},
        ),
        "resp_scan_wifi_start": (11, {}),
        "cmd_scan_wifi_status": (12, {}),
        "resp_scan_wifi_status": (13, {"scan_finished": 1, "result_count": 2}),
        "cmd_scan_wifi_result": (14, {"start_index": 1, "count": 2}),
        "resp_scan_wifi_result": (15, {"entries": (1, _ENTRY)}),
    },
)
NETWORK_CTRL_PAYLOAD = Named(
    ctrl.PAYLOAD,
    {
        "msg": 1,
        "status": 2,
        "cmd_ctrl_wifi_reset": (11, {}),
        "resp_ctrl_wifi_reset": (12, {}),
        "cmd_ctrl_wifi_reprov": (13, {}),
        "resp_ctrl_wifi_reprov": (14, {}),
    },
)


def decode(named, data):
    return _by_name(named.names, protobuf.decode(named.schema, data))


def encode(named, values):
    return protobuf.encode(named.schema, _by_number(named.names, values))


def _by_name(names, message):
    out = {}
    for name, number in names.items():
        inner = None
        if isinstance(number, tuple):
            number, inner = number
        if number in message:
            value = message[number]
            if isinstance(value, list):
                value = [_by_name(inner, item) for item in value]
            elif inner is not None:
                value = _by_name(inner, value)
            out[name] = value
    return out


def _by_number(names, message):
    out = {}
    for name, value in message.items():
        number = names[name]
        if isinstance(number, tuple):
            number, inner = number
            if isinstance(value, list):
                value = [_by_number(inner, i) if isinstance(i, dict) else i for i in value]
            elif isinstance(value, dict):
                value = _by_number(inner, value)
        out[number] = value
    return out
