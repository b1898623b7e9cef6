# A node of ESP RainMaker, while online: what it is, whom it belongs to, what its parameters are,
# and what an app writes, over MQTT with the node's own certificate. For boards with node
# credentials; the maker's side of it is the model (homing/model.py).
#
# Once per connection, in this order: node configuration, subscription, mapping if one is due, all
# parameters. Then whatever changes. A mapping is tried every five seconds, five times, then ever
# more seldom, over reboots, until the cloud acknowledges it. After a loss of the connection all
# parameters are told anew: what was under way may be lost.

import asyncio
import json
import sys
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from . import roots, tls
from .backoff import Backoff
from .errors import CloudError
from .mqtt import Mqtt
from .rainmaker import OPEN

# Topics under AWS basic ingest: the rule that gets the message is part of the name.
_TOPIC = "$aws/rules/%s/node/%s/%s"
_CONFIG = ("esp_node_config", "config")
_MAPPING = ("esp_user_node_mapping", "user/mapping")
_PARAMS = ("esp_set_params", "params/local")
_PARAMS_INIT = ("esp_init_params", "params/local/init")
_REMOTE = "node/%s/params/remote"

_FIRST_MS = const(2000)
_CAP_MS = const(120000)
_CONNECT_MS = const(30000)
_ACK_MS = const(10000)
_MAP_MS = const(5000)
_MAP_TRIES = const(5)
_SLOW_MS = const(30000)  # where the cloud takes its time, an answer must still be waited for
_MERGE_MS = const(100)  # changes that come together are reported together
_IDLE_MS = const(600000)


async def bind(cloud, model):
    """Runs for good; may be cancelled at will."""
    session = _Session(cloud, model)
    faults = Backoff(_FIRST_MS, _CAP_MS)
    request = None
    if cloud.ns.get("op"):  # handed over by cloud_bind: the user's half is ours to do, too
        from .rainmaker_map import bind as request_mapping

        request = asyncio.create_task(request_mapping(cloud))
    try:
        await _stay(cloud, session, faults)
    finally:
        if request:
            request.cancel()


async def _stay(cloud, session, faults):
    while True:
        try:
            await session.run(faults)
        except CloudError as e:
            fault = str(e)
        except OSError:
            fault = "store: cannot write"
        except MemoryError:
            fault = "memory"
        cloud.say(cloud.state, fault)
        await asyncio.sleep_ms(faults.next_ms())


class _Session:
    def __init__(self, cloud, model):
        self._cloud = cloud
        self._model = model
        self._id = model.node_id
        self._mqtt = Mqtt(self._on_message, self._on_skipped)
        self._told = False  # the parameters, since the board started
        self._tries = 0
        self._pauses = Backoff(_MAP_MS, 300000)
        self._map_at = ticks_ms()

    async def run(self, faults):
        """One connection from its beginning to its end, which is always an exception."""
        found = self._model.chain()
        if not found:
            raise CloudError("no node credentials")
        host, port, chain = found
        context = roots.context(host)
        try:
            context.load_cert_chain(*chain)
        except (OSError, ValueError):
            raise CloudError("certificate", "of this node cannot be read") from None
        found = chain = None
        turn = tls.turn()
        await turn.acquire()
        held = [turn]
        try:
            await tls.run(host, port, lambda secure: self._talk(secure, held, faults), context)
        finally:
            if held:
                turn.release()
            self._model.notify = None
            self._mqtt.stop()

    async def _talk(self, secure, held, faults):
        mqtt = self._mqtt
        await mqtt.start(secure, self._id, _CONNECT_MS)
        held.pop().release()
        self._model.notify = mqtt.news.set
        try:
            await self._introduce()
            faults.reset()
            self._cloud._said = None  # each connection is a line
            self._cloud.say(self._cloud.state, mqtt="connected")
            while True:
                await self._map()
                # Again for what has changed while an acknowledgement was waited for: that wait has
                # used up the news of it.
                while await self._report_changes():
                    pass
                await mqtt.wait(self._pause_ms())
                await asyncio.sleep_ms(_MERGE_MS)
        except (ValueError, KeyError, TypeError) as e:
            # Of ours, or of what the maker gave: said as such, not taken for a bad certificate.
            raise CloudError("fault", type(e).__name__) from None

    async def _introduce(self):
        from .node_config import pieces

        await self._publish(_CONFIG, lambda: pieces(self._model))
        _unload("node_config")
        # Before the mapping: an app writes as soon as that is confirmed, and maybe once.
        await self._mqtt.subscribe(_REMOTE % self._id)
        await self._map()
        report = self._model.report(True)
        if report:
            await self._publish(_PARAMS if self._told else _PARAMS_INIT, (report,))
        self._told = True

    async def _publish(self, to, parts):
        topic = _TOPIC % (to[0], self._id, to[1])
        if not await self._mqtt.publish(topic, parts, 1, _ACK_MS):
            raise CloudError("timeout", "no PUBACK")

    async def _report_changes(self):
        report = self._model.report()
        if report:
            await self._publish(_PARAMS, (report,))
        return bool(report)

    # -- mapping --------------------------------------------------------------------------------

    def _pause_ms(self):
        if self._due():
            return max(ticks_diff(self._map_at, ticks_ms()), 1)
        # The request that is due first is made beside this, and gives no sign.
        return _MAP_MS if self._cloud.ns.get("op") else _IDLE_MS

    def _due(self):
        # Most of the time there is none: not for this should a module be loaded.
        ns = self._cloud.ns
        if ns.get("st") not in OPEN or not (ns.get("secret") and ns.get("user")):
            return False
        # Of a mapping that this board requests itself (cloud_bind), not before the request is made.
        op = ns.get("op")
        return not op or (op == "add" and bool(ns.get("req")))

    async def _map(self):
        cloud, model = self._cloud, self._model
        if model.leaving:
            from .rainmaker_report import leave

            leave(cloud.ns)
        elif not self._due() or ticks_diff(self._map_at, ticks_ms()) > 0:
            return
        if self._due():
            from .rainmaker_report import acknowledged, message, sent

            self._tries += 1
            text = message(cloud.ns, self._id)
            topic = _TOPIC % (_MAPPING[0], self._id, _MAPPING[1])
            sent(cloud)
            wait_ms = _MAP_MS if self._tries <= _MAP_TRIES else _SLOW_MS
            if await self._mqtt.publish(topic, (text,), 1, wait_ms):
                acknowledged(cloud)
                self._tries = 0
                self._pauses.reset()
            elif self._tries >= _MAP_TRIES:
                self._map_at = ticks_add(ticks_ms(), self._pauses.next_ms())
        if not self._due():
            model.leaving = False
        _unload("rainmaker_report")

    # -- what the cloud sends -------------------------------------------------------------------

    def _on_message(self, topic, payload):
        if topic != (_REMOTE % self._id).encode():
            return
        try:
            fields = json.loads(payload)
        except ValueError:
            self._cloud.say(self._cloud.state, "write: not JSON")
            return
        except MemoryError:
            self._cloud.say(self._cloud.state, "write: memory")
            return
        self._model.apply(fields)

    def _on_skipped(self, length):
        self._cloud.say(self._cloud.state, "write: %d bytes are too long" % length)


def _unload(leaf):
    # What is over until the next connection: its code goes.
    name = __name__.rsplit(".", 1)[0]
    if sys.modules.pop(name + "." + leaf, None):
        package = sys.modules[name]
        if hasattr(package, leaf):
            delattr(package, leaf)
