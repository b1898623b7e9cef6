# Proving credentials: several attempts to join, and what their failures mean together.

from time import ticks_diff, ticks_ms

from micropython import const

from . import log
from .wifi import GOT_IP
from .wifi_reasons import AUTH_ERROR, MAYBE_UNHEARD, classify, text

# Clients wait 45 s for the outcome (esp_protocomm): no attempt begins that could end later.
_LAST_START_MS = const(27000)
# Lower power is only worth trying where the signal is good.
_GOOD_RSSI_DBM = const(-70)


class JoinError(Exception):
    """No attempt led to an address. `reason`: AUTH_ERROR or NETWORK_NOT_FOUND; `status`: the last
    WLAN.status() number."""

    def __init__(self, reason, status):
        super().__init__(text(status))
        self.reason = reason
        self.status = status


async def join(station, ssid, passphrase, attempts=3, on_failed=None):
    """Try credentials until an address is there, at most `attempts` times, fewer if slow.

    `on_failed(remaining)` is called after each failure but the last. Raises JoinError. Does
    not need the network in the scan: hidden ones are joined like any other.
    """
    station.low_power = False
    statuses = []
    start = ticks_ms()
    for n in range(attempts):
        if ticks_diff(ticks_ms(), start) > _LAST_START_MS:
            break
        status = await station.attempt(ssid, passphrase)
        if status == GOT_IP:
            return
        statuses.append(status)
        log.say("join %d of %d failed: %s" % (n + 1, attempts, text(status)))
        if on_failed and n + 1 < attempts:
            on_failed(attempts - n - 1)
    in_time = ticks_diff(ticks_ms(), start) <= _LAST_START_MS
    if in_time and _maybe_unheard(station, ssid, statuses):
        log.say("perhaps this board is not heard at full power: once more at 8.5 dBm")
        station.low_power = True
        status = await station.attempt(ssid, passphrase)
        if status == GOT_IP:
            log.say("joined at 8.5 dBm: this board transmits badly at full power; keeping 8.5")
            return
        statuses.append(status)
        station.low_power = False
        station.apply_power()
    raise JoinError(classify(statuses), statuses[-1])


def _maybe_unheard(station, ssid, statuses):
    for status in statuses:
        if status not in MAYBE_UNHEARD:
            return False
    rssi = [n[3] for n in station.networks if n[0] == ssid]
    return not rssi or max(rssi) > _GOOD_RSSI_DBM


def failure_text(error):
    """One sentence for people about a JoinError."""
    if error.reason == AUTH_ERROR:
        return "could not join: %s" % text(error.status)
    return "network not found: %s" % text(error.status)
