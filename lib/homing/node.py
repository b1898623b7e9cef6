# One board: who it is, what it keeps, and the two acts of its life. Only here and in the acts
# (onboarding.py, online.py) are all the parts known.
# Most of a Node is made by startup.begin().
# pyright: reportAttributeAccessIssue=false

import asyncio
import gc

from micropython import const

from . import log, memory
from .store import Store

_TASKS_END_MS = const(20)
_RESTART_PAUSE_MS = const(5000)


class Node:
    """One board from boot to the maker's app. Keyword arguments: see homing.run."""

    def __init__(self, **options):
        from .startup import begin

        self.store = Store(report=self._corrupt)
        begin(self, **options)

    def _corrupt(self, namespace, why):
        log.err("store", namespace=namespace, why=why)

    def cloud(self, kind, **options):
        """A cloud of that class, for this board."""

        def report(state, **fields):
            log.state("cloud", cloud=kind.name, **dict(fields, **{"is": state}))

        return kind(self.store.open(kind.name), self.identity, report, **options)

    async def again(self, what, make):
        """What make() returns. A board has nobody to restart it: what fails unforeseen is said, and
        begun anew."""
        while True:
            try:
                return await make()
            except Exception as e:  # noqa: BLE001 see above; cancellation is no Exception
                log.err(what, why=log.describe(e))
                gc.collect()
                await asyncio.sleep_ms(_RESTART_PAUSE_MS)

    # The order of events: unprovisioned → credentials proven → saved → told → BLE off → clock →
    # cloud. Two runs of the event loop: what its tasks held is only free for certain when it has
    # ended; and each act's module is loaded for that act alone.

    async def set_up(self):
        """Provision, if there is no network yet."""
        self._watch()
        if not self.wifi.get("ssid"):
            memory.loading(True)  # until BLE is about to be switched on
            self._check()
            from .onboarding import provision

            await self.again("provisioning", lambda: provision(self))
            await asyncio.sleep_ms(_TASKS_END_MS)

    def _watch(self):
        # One coroutine through both acts: the button may be held from one to the next.
        if self.button:
            asyncio.create_task(self.button)

    def _check(self):
        # Not in set_up(), which would keep what it has imported: startup is unloaded.
        from .startup import check

        check(self)  # the maker's mistake: no use to try again

    async def live(self, app):
        """Join, bind to the account, run `app(me)`; for good."""
        self._watch()
        memory.unload_provisioning()
        from .online import run

        await run(self, app)
