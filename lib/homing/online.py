# A board's second act, for good: join, clock, cloud, and the maker's app.

import asyncio
import gc
from time import gmtime, time

from micropython import const

from . import board, log, memory
from .cloud.backoff import Backoff

_CLOCK_RETRY_MS = const(10000)
_WATCH_MS = const(1000)
_RESTART_AFTER = const(5)  # failed rounds until the radio is switched off and on
_BACKOFF_FIRST_MS = const(1000)
_BACKOFF_CAP_MS = const(40000)  # with one join, back within 70 s of the access point's return


class Me:
    """What `app(me)` gets: who and where this board is."""

    def __init__(self, node):
        self._node = node
        self.id = node.id
        self.name = node.name

    @property
    def online(self):
        return self._node.station.online

    @property
    def ip(self):
        return self._node.station.ip

    @property
    def clouds(self):
        """{"thethings": state, "rainmaker": state} of the clouds this board knows."""
        return {c.name: c.state for c in self._node.clouds}

    def local_time(self):
        """As time.localtime(), in the time zone that an app has set."""
        from .timezone import local_time

        return local_time(self._node)


async def run(node, app):
    """Join, bind to the account, run `app(me)`."""
    if node.model is not None:
        from .model import begin

        begin(node)
    ssid = node.wifi.get("ssid")
    node.station.low_power = bool(node.wifi.get("low_power", 0))
    came_up = asyncio.Event()

    def changed(up, status):
        if up:
            log.state("online", ip=node.station.ip, **board.heap())
            came_up.set()
        elif came_up.is_set():
            log.state("offline", status=status)

    def keep():
        return _keep(node.station, ssid, node.wifi.get("password", b""), changed)

    tasks: list[asyncio.Task] = [asyncio.create_task(node.again("wifi", keep))]
    try:
        await came_up.wait()
        tasks.append(asyncio.create_task(node.again("cloud", lambda: _bind(node))))
        if app is not None:
            gc.collect()
            log.state("running")
            await app(Me(node))
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()


async def _keep(station, ssid, passphrase, on_change):
    # Stay on the network for ever; on_change(online, status) is called at every change. An outage
    # of the router never leads back to provisioning: only a person can decide that.
    backoff = Backoff(_BACKOFF_FIRST_MS, _BACKOFF_CAP_MS)
    failed = 0
    up = None
    status = None
    while True:
        now = station.online
        if now != up:
            up = now
            on_change(up, status)
        if up:
            failed = 0
            backoff.reset()
            await asyncio.sleep_ms(_WATCH_MS)
            status = station.status
            continue
        status = await station.attempt(ssid, passphrase)
        if station.online:
            continue
        failed += 1
        if failed % _RESTART_AFTER == 0:
            station.off()  # the next attempt switches it on again
        await asyncio.sleep_ms(backoff.next_ms())


async def _bind(node):
    memory.loading(True)
    from . import clock

    if node.model:
        node.model.load(node.clouds)
    elif node.clouds:
        from .cloud import https, talk  # noqa: F401 - both, while memory is in large pieces
    memory.loading(False)
    if not node.clouds:
        log.say("no cloud credentials: run `homing identity set` on your computer")
        return
    while not clock.is_set():
        if not await clock.set_from(node.ntp_hosts):
            log.say("clock not set: no time server answers")
            await asyncio.sleep_ms(_CLOCK_RETRY_MS)
    log.state("clock", utc="%04d-%02d-%02dT%02d:%02d:%02dZ" % gmtime(time())[:6])
    await asyncio.gather(*[node.again(cloud.name, cloud.bind) for cloud in node.clouds])
