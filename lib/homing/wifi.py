# The station interface: the radio, scans, single attempts to join. The only module that imports
# network. SSIDs and passphrases are bytes from end to end.

import asyncio
from time import ticks_diff, ticks_ms

import network
from micropython import const

from . import log

_REFUSED = const(1)  # WIFI_REASON_UNSPECIFIED: here, the driver would not even try
_IDLE = const(1000)
_CONNECTING = const(1001)
GOT_IP = const(1010)

_ATTEMPT_MS = const(15000)  # a join with a slow DHCP server takes this long
_SETTLE_MS = const(200)  # between disconnect() and connect(): "sta is connecting", thonny#2713
_STALE_MS = const(8000)
_POLL_MS = const(100)

# Some C3 boards (SuperMini, early Lolin) distort at full power and are not heard; they are at this
# one (arduino-esp32#6767, esphome#4893).
_LOW_POWER_DBM = const(8.5)
_FULL_POWER_DBM = const(20)


def access_point():
    """The interface of the board's own access point."""
    return network.WLAN(network.WLAN.IF_AP)


class Station:
    """networks: what the last scan that found some found, as scan() returns it."""

    def __init__(self):
        self._wlan = network.WLAN(network.WLAN.IF_STA)
        self.networks = ()
        self.low_power = False  # transmit with _LOW_POWER_DBM from the next attempt on

    def on(self):
        """Switch the radio on; only from here on is the chip's generator truly random."""
        self._wlan.active(True)

    def off(self):
        self._wlan.active(False)

    def scan(self):
        """Networks in reach as (ssid, bssid, channel, rssi_dbm, auth); blocks for 2 to 3 s."""
        try:
            found = tuple([n[:5] for n in self._wlan.scan()])
        except OSError as e:
            log.say("scan failed: " + log.describe(e))
            found = ()
        # A scan that the driver refuses comes back empty: what was known stays known.
        self.networks = found or self.networks
        return found

    @property
    def online(self):
        return self._wlan.isconnected()

    @property
    def status(self):
        """WLAN.status(): one of the numbers of wifi_reasons.py, or of the constants above."""
        return self._wlan.status()

    @property
    def ip(self):
        return self._wlan.ifconfig()[0]

    def details(self, ssid):
        """What a phone is told about the network just joined: (ip, auth, bssid, channel)."""
        best = None
        for net in self.networks:
            if net[0] == ssid and (best is None or net[3] > best[3]):
                best = net
        channel = self._wlan.config("channel")
        if best is None:  # hidden: auth mode and BSSID cannot be asked for in MicroPython
            return self.ip, 3, b"", channel
        return self.ip, best[4], best[1], channel

    async def attempt(self, ssid, passphrase):
        """One join; the status it ended with. A failed one leaves the driver idle: while it is
        busy it neither scans nor takes settings."""
        self._hang_up()
        await asyncio.sleep_ms(_SETTLE_MS)
        try:
            status = await self._connect(ssid, passphrase)
        except OSError as e:
            log.say("Wi-Fi: " + log.describe(e))
            status = _REFUSED
        if status != GOT_IP:
            self._hang_up()
        return status

    async def _connect(self, ssid, passphrase):
        wlan = self._wlan
        wlan.active(True)
        wlan.config(reconnects=0)  # one try, so that its reason shows: micropython#11625
        self.apply_power()
        before = wlan.status()
        try:
            wlan.connect(ssid, passphrase)
        except OSError:  # still busy with an earlier connect: micropython#14382
            self._hang_up()
            await asyncio.sleep_ms(1000)
            wlan.connect(ssid, passphrase)
        start = ticks_ms()
        while True:
            await asyncio.sleep_ms(_POLL_MS)
            status = wlan.status()
            if status == GOT_IP:
                return status
            waited = ticks_diff(ticks_ms(), start)
            if status in (_CONNECTING, _IDLE):
                before = None  # whatever number comes now is of this attempt
                if waited > _ATTEMPT_MS:
                    return _CONNECTING
            elif status != before or waited > _ATTEMPT_MS:
                return status
            elif waited > _STALE_MS and not self._associated():
                # connect() does not clear the reason of the attempt before it (network_wlan.c:
                # wifi_sta_disconn_reason), so an equal number says nothing at first.
                return status

    def apply_power(self):
        """Transmit as low_power says."""
        # Only where nothing is under way: config() ends in esp_wifi_set_config, which refuses
        # while joining (esp-idf#17686).
        try:
            self._wlan.config(txpower=_LOW_POWER_DBM if self.low_power else _FULL_POWER_DBM)
        except OSError as e:
            log.say("transmit power not set: " + log.describe(e))

    def _associated(self):
        try:
            self._wlan.status("rssi")
        except OSError:
            return False
        return True

    def _hang_up(self):
        try:
            self._wlan.disconnect()
        except OSError:
            pass  # not connected, or not started: nothing to end
