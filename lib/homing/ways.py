# The ways in, where they are not BLE alone: which there are, and what they need. Loaded only then.

import gc
from time import sleep_ms

from micropython import const

from . import board

_RESET_PAUSE_MS = const(200)
_WAYS = ("ble", "softap", "console")
# GC heap that must be free for both radios and HTTP at once, before any of it is loaded: measured
# on 32 bits (tools/bench/memory.py), and a little more. Alone, each way fits where BLE does.
_BOTH_LEN = const(64000)
_PORTAL_LEN = const(5000)
_SECURITY2_LEN = const(38000)  # docs/security.md


def check(node):
    """Raise ValueError for a way that there is not, or that cannot be offered like this."""
    for way in node.transports:
        if way not in _WAYS:
            raise ValueError("no transport %r; there are %s" % (way, ", ".join(_WAYS)))
    if not node.transports:
        raise ValueError("no transport; there are %s" % ", ".join(_WAYS))
    gc.collect()
    need = _BOTH_LEN + (_PORTAL_LEN if node.portal else 0)
    need += 0 if node.security in (0, 1) else _SECURITY2_LEN
    if "ble" in node.transports and "softap" in node.transports and gc.mem_free() < need:
        raise ValueError(
            "BLE and the access point at once need %d bytes of heap, %d are free: name one of them"
            % (need, gc.mem_free())
        )
    if "softap" in node.transports:
        from .provisioning.softap import check_access_point

        check_access_point(node.name, node.softap_password)
    if node.portal:
        if "softap" not in node.transports:
            raise ValueError('portal=True needs "softap" among transports=')
        if node.security == 2:
            raise ValueError("portal=True needs Security 1, which security=2 leaves out: (1, 2)")


def make(node):
    """The transports, in the order in which they are named."""
    made = []
    for way in node.transports:
        if way == "ble":
            from .provisioning.ble import BleTransport

            made.append(BleTransport(node.name, manufacturer=node.manufacturer))
        elif way == "console":
            from . import factory_reset, forget_wifi
            from .provisioning.console import ConsoleTransport

            commands = {"reset wifi": forget_wifi, "reset all": factory_reset}
            made.append(ConsoleTransport({name: _last(f) for name, f in commands.items()}))
        else:
            from .provisioning.softap import SoftApTransport
            from .wifi import access_point

            page = None
            if node.portal:
                from .provisioning.dns import DnsServer
                from .provisioning.portal import Page

                page = Page()
            made.append(
                SoftApTransport(
                    access_point(),
                    node.name,
                    node.softap_password,
                    channel=lambda: _home_channel(node.station.networks),
                    page=page,
                    shared=len(node.transports) > 1,
                )
            )
            if page:
                made.append(DnsServer())  # after the access point, whose address it binds
    return made


def _last(erase):
    # The program that runs might write back what has just been erased.
    def command():
        erase()
        sleep_ms(_RESET_PAUSE_MS)
        board.reset()

    return command


def _home_channel(networks):
    # Most likely that of the network that the board will join: the strongest. Beyond 11 an access
    # point is not allowed everywhere.
    seen = [(n[3], n[2]) for n in networks if 1 <= n[2] <= 11]
    return max(seen)[1] if seen else None


def qr_options(node):
    """What a QR code says of the way to take: keywords for qr.payload(); None where a phone has
    none. A phone takes one of them from a label."""
    if "ble" in node.transports:
        return {}
    if "softap" in node.transports:
        return {"transport": "softap", "password": node.softap_password}
    return None
