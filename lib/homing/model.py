# What this node is to a cloud: its devices, services and information; keeps what must survive, and
# applies what the cloud writes. Loaded while online, if there are devices or node credentials.
#
# Kept: namespace "params", the key being a CRC of the names (a key has 15 bytes), the value JSON.
# Of a service that takes what is never told, a token, all is in "tokens" instead, which the next
# user to be associated finds empty (cloud/association.py).

import asyncio
import gc
import json
from binascii import crc32
from time import sleep_ms

from micropython import const

from . import __version__, board, log
from .devices import NAME, READ, WRITE
from .store import Store

# GC heap that must be free in a boot that has provisioned: of what it has left behind, holes and
# names, a piece of 9 KB must be found. A board that begins online needs half of it.
_AFTER_PROVISIONING_LEN = const(80000)
_RESET_PAUSE_MS = const(200)
_LOOK_MS = const(250)
_PLATFORM = "esp32c3"
_DEFAULT = ("time", "system")


def begin(node):
    """Make node.model of devices=, services= and info= as homing.run got them; values that were
    kept are restored, and given to on_write. Raises ValueError for names that are there twice."""
    if node.spent and gc.mem_free() < _AFTER_PROVISIONING_LEN:
        log.say("not enough memory in one piece for MQTT: restarting, online comes next")
        sleep_ms(_RESET_PAUSE_MS)  # let the line get out
        board.reset()
    given, node.model = node.model, None
    services = given.get("services")
    model = Model(node, given.get("devices", ()), given.get("info") or {})
    for each in _DEFAULT if services is None else services:
        if isinstance(each, str):
            from .services import make

            each = make(each, node)
        model.groups.append(each)
    model.begin()
    node.model = model


class Model:
    """groups: devices, then services. notify: called when something is to be reported, or None."""

    def __init__(self, node, devices, info):
        self.node_id = node.id
        self.info = {
            "name": node.name,
            "fw_version": __version__,
            "type": "Homing",
            "model": "homing",
            "project_name": "homing",
            "platform": _PLATFORM,
        }
        self.info.update(info)
        self.groups = list(devices)
        self.notify = None
        self._bound = False
        self.leaving = False  # after a factory reset: nothing is kept any more
        self._store = node.store

    def begin(self):
        names = [group.name for group in self.groups]
        for group in self.groups:
            params = [param.name for param in group.params]
            if names.count(group.name) > 1 or len(set(params)) < len(params):
                raise ValueError("two of one name in or beside %r" % group.name)
            for param in group.params:
                if param.persist:
                    self._restore(param)
            group.model = self

    def load(self, clouds):
        """Have what talks to the cloud in memory, while that is in large pieces."""
        for cloud in clouds:
            if cloud.name == "rainmaker" and cloud.identity.get("node_key"):
                cloud.bind = self._binding(cloud)
            else:
                from .cloud import https, talk  # noqa: F401
        if not self._bound:
            log.say("devices are not in any cloud: this board has no node credentials")

    def _binding(self, cloud):
        # In place of its own bind(), which has no node credentials.
        from .cloud.rainmaker_mqtt import bind

        self._bound = True
        return lambda: bind(cloud, self)

    def chain(self):
        """(host, port, (certificate, key)) of the node, or None; read anew each time."""
        kept = Store().open("credentials")
        host, certificate, key = kept.get("host"), kept.get("cert"), kept.get("key")
        if not (host and certificate and key):
            return None
        return host, kept.get("port", 8883), (certificate, key)

    # -- what is kept ---------------------------------------------------------------------------

    def _kept(self, group):
        told = all(READ in param.access for param in group.params)
        return self._store.open("params" if told else "tokens")

    def _restore(self, param):
        text = self._kept(param.device).get(_key(param))
        if text is None:
            return
        try:
            device, name, value = json.loads(text)
            if (device, name) != (param.device.name, param.name):
                return
            value = param.check(value)
        except (ValueError, TypeError):
            return  # of an earlier program, in which it was something else
        if param.device.service or self._given(param, value):
            param.put(value)

    def settle(self):
        """A parameter has changed: keep and report it. Raises OSError when flash is full."""
        try:
            if not self.leaving:
                spaces = []
                for group in self.groups:
                    kept = self._kept(group)
                    if kept not in spaces:
                        spaces.append(kept)
                    for param in group.params:
                        if param.changed and param.persist:
                            kept.set(_key(param), json.dumps((group.name, param.name, param.value)))
                for kept in spaces:
                    kept.commit()
        finally:
            if self.notify:
                self.notify()

    # -- what the cloud writes ------------------------------------------------------------------

    def apply(self, fields):
        """Values by parameter by device, as the cloud sends them; what cannot be is refused, and
        answered with the value that stays."""
        if not isinstance(fields, dict):
            log.err("write", why="not an object")
            return
        for group in self.groups:
            values = fields.get(group.name)
            if isinstance(values, dict):
                for param in group.params:
                    if param.name in values:
                        self._write(param, values[param.name])
        try:
            self.settle()
        except OSError as e:
            log.err("store", namespace="params", why=log.describe(e))

    def _write(self, param, value):
        try:
            if WRITE not in param.access:
                raise ValueError
            value = param.check(value)
        except ValueError:
            log.err("write", param=param.name, why="refused")
            param.changed = True
            return
        if self._given(param, value):
            param.put(value)
        param.changed = True  # confirmed also when it was so already

    def _given(self, param, value):
        # True unless the maker's function refuses. Its faults are not ours to die of.
        on_write = param.device.on_write
        if on_write is None or param.type == NAME:
            return True
        try:
            on_write(param, value)
            return True
        except Exception as e:  # noqa: BLE001 see above; cancellation is no Exception
            log.err("on_write", param=param.name, why=log.describe(e))
            return False

    # -- what is reported -----------------------------------------------------------------------

    def report(self, everything=False):
        """Parameters that changed, or all, as JSON in bytes; None if there are none. They count as
        reported then."""
        devices = []
        for group in self.groups:
            values = []
            for param in group.params:
                if READ in param.access and (everything or param.changed):
                    values.append(json.dumps(param.name) + ":" + json.dumps(param.value))
                param.changed = False
            if values:
                devices.append(json.dumps(group.name) + ":{" + ",".join(values) + "}")
        return ("{" + ",".join(devices) + "}").encode() if devices else None

    def later(self, work):
        """Run a coroutine beside everything else."""
        asyncio.create_task(work)

    def zone(self):
        """The POSIX rule of the time zone; "" if none is set."""
        for group in self.groups:
            if group.type == "esp.service.time":
                return group["TZ-POSIX"].value
        return ""

    async def leave(self, timeout_ms):
        """Let the cloud hear of a factory reset, if it does within that time."""
        self.leaving = True
        while self.notify and self.leaving and timeout_ms > 0:
            self.notify()
            await asyncio.sleep_ms(_LOOK_MS)
            timeout_ms -= _LOOK_MS


def _key(param):
    return "%08x" % crc32((param.device.name + "\n" + param.name).encode())
