"""network.WLAN of the esp32 port; the states live in the world (tools/sim/wifi.py)."""

import _world
from micropython import const

_IF_STA = const(0)
_IF_AP = const(1)
_MAX_SSID_LEN = const(32)
_MAX_KEY_LEN = const(64)

# In one string: each as a name of its own would take heap that on a chip is flash.
_CONSTANTS = (
    "STA_IF 0 AP_IF 1 AUTH_OPEN 0 AUTH_WEP 1 AUTH_WPA_PSK 2 AUTH_WPA2_PSK 3 AUTH_WPA_WPA2_PSK 4 "
    "AUTH_WPA2_ENTERPRISE 5 AUTH_WPA3_PSK 6 AUTH_WPA2_WPA3_PSK 7 AUTH_WAPI_PSK 8 AUTH_OWE 9 "
    "STAT_IDLE 1000 STAT_CONNECTING 1001 STAT_GOT_IP 1010 STAT_NO_AP_FOUND 201 "
    "STAT_WRONG_PASSWORD 202 STAT_BEACON_TIMEOUT 200 STAT_ASSOC_FAIL 203 STAT_CONNECT_FAIL 203 "
    "STAT_HANDSHAKE_TIMEOUT 204 STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY 210 "
    "STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD 211 STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD 212"
)

_hostname = "mpy-esp32c3"
_country = "XX"
_AP_KEYS = ("ssid", "password", "channel", "hidden", "authmode", "max_clients")
_ALIASES = {"essid": "ssid", "key": "password", "security": "authmode"}
_pm = 1


def _bytes(value, limit):
    # mp_obj_str_get_data: str or bytes, nothing else; too long is cut without a word.
    if isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        raise TypeError("can't convert '" + type(value).__name__ + "' object to str implicitly")
    return value[:limit]


class WLAN:
    IF_STA = 0
    IF_AP = 1
    SEC_OPEN, SEC_WEP, SEC_WPA, SEC_WPA2, SEC_WPA_WPA2, SEC_WPA2_ENT = range(6)
    SEC_WPA3, SEC_WPA2_WPA3, SEC_WAPI, SEC_OWE = range(6, 10)
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = range(3)

    _instances = [None, None]

    def __new__(cls, interface=_IF_STA):
        if interface not in (_IF_STA, _IF_AP):
            raise ValueError("invalid WLAN interface identifier")
        if cls._instances[interface] is None:
            self = object.__new__(cls)
            self._interface = interface
            cls._instances[interface] = self
        return cls._instances[interface]

    def __init__(self, interface=_IF_STA):
        pass

    def _need(self, interface):
        if self._interface != interface:
            raise OSError("STA required" if interface == _IF_STA else "AP required")

    def active(self, is_active=None):
        if is_active is None:
            return _world.call("wifi.active", self._interface, None)
        _world.forbid("WLAN.active")
        result = _world.call("wifi.active", self._interface, bool(is_active))
        any_on = result or _world.call("wifi.active", 1 - self._interface, None)
        _world.radio("wifi", any_on)
        return result

    def connect(self, ssid=None, key=None, *, bssid=None):
        _world.forbid("WLAN.connect")
        if ssid is not None:
            ssid = _bytes(ssid, _MAX_SSID_LEN).hex()
        if key is not None:
            key = _bytes(key, _MAX_KEY_LEN).hex()
        if bssid is not None:
            if len(bssid) != 6:
                raise ValueError
            bssid = _bytes(bssid, 6).hex()
        _world.call("wifi.connect", ssid, key or "", bssid or "")

    def disconnect(self):
        _world.call("wifi.disconnect")

    def status(self, param=None):
        if param is None:
            return _world.call("wifi.status") if self._interface == _IF_STA else None
        if param == "rssi":
            self._need(_IF_STA)
            return _world.call("wifi.rssi")
        if param == "stations":
            self._need(_IF_AP)
            return [(bytes.fromhex(mac),) for mac in _world.call("ap.stations")]
        raise ValueError("unknown status param")

    def scan(self):
        _world.forbid("WLAN.scan")
        return [
            (bytes.fromhex(ssid), bytes.fromhex(bssid), channel, rssi, auth, False)
            for ssid, bssid, channel, rssi, auth in _world.call("wifi.scan")
        ]

    def isconnected(self):
        return self._interface == _IF_STA and _world.call("wifi.isconnected")

    def ifconfig(self, config=None):
        if config is not None:
            if config == "dhcp" or config == ("dhcp",):
                return None
            raise OSError("WLAN.ifconfig: the simulator has DHCP only")
        if self._interface == _IF_AP:
            return ("192.168.4.1", "255.255.255.0", "192.168.4.1", "0.0.0.0")  # noqa: S104
        return tuple(_world.call("wifi.ifconfig"))

    def ipconfig(self, *args, **kwargs):
        if kwargs:
            if kwargs == {"dhcp4": True}:
                return None
            raise OSError("WLAN.ipconfig: the simulator has DHCP only")
        address, mask, router, _dns = self.ifconfig()
        if args[0] == "addr4":
            return address, mask
        if args[0] == "gw4":
            return router
        if args[0] == "dhcp4":
            return self._interface == _IF_STA
        if args[0] == "has_dhcp4":
            return self.isconnected()
        raise ValueError("unexpected key")

    def config(self, *args, **kwargs):
        if args and kwargs:
            raise TypeError("either pos or kw args are allowed")
        if kwargs:
            changed = {}
            for key, value in kwargs.items():
                self._set(_ALIASES.get(key, key), value, changed)
            if changed:  # the driver is told once, at the end
                _world.call("ap.config", changed)
            return None
        if len(args) != 1:
            raise TypeError("can query only one param")
        return self._get(_ALIASES.get(args[0], args[0]))

    def _set(self, key, value, changed):
        global _pm
        if key == "reconnects":
            self._need(_IF_STA)
            _world.call("wifi.reconnects", int(value))
        elif key == "txpower":
            _world.call("wifi.txpower", float(value))
        elif key == "pm":
            _pm = int(value)
        elif key in ("hostname", "dhcp_hostname"):
            hostname(value)
        elif key == "channel" and self._interface == _IF_STA:
            pass  # only where a scan begins
        elif key in _AP_KEYS:
            self._need(_IF_AP)
            if key in ("ssid", "password"):
                limit = _MAX_SSID_LEN if key == "ssid" else _MAX_KEY_LEN - 1
                changed[key] = _bytes(value, limit).hex()
            else:
                changed[key] = bool(value) if key == "hidden" else int(value)
        else:
            raise ValueError("unknown config param")

    def _get(self, key):
        if key == "mac":
            mac = bytes.fromhex(_world.config["mac"])
            return mac[:5] + bytes([mac[5] + self._interface & 0xFF])
        if key == "reconnects":
            self._need(_IF_STA)
            return _world.call("wifi.reconnects", None)
        if key == "txpower":
            return _world.call("wifi.txpower", None)
        if key == "pm":
            return _pm
        if key in ("hostname", "dhcp_hostname"):
            return hostname()
        if key == "channel" and self._interface == _IF_STA:
            return _world.call("wifi.channel")
        if key in _AP_KEYS and key != "password":
            self._need(_IF_AP)
            return _world.call("ap.get", key)
        raise ValueError("unknown config param")


def hostname(name=None):
    global _hostname
    if name is None:
        return _hostname
    _hostname = name
    return None


def country(code=None):
    global _country
    if code is None:
        return _country
    _country = code
    return None


_missing = _world.lacks("network")


def __getattr__(name):
    words = _CONSTANTS.split()
    if name in words:
        return int(words[words.index(name) + 1])
    return _missing(name)
