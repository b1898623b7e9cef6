# What a maker imports. Everything else is loaded when it is needed.

from .provisioning.reasons import AUTH_ERROR, NETWORK_NOT_FOUND  # noqa: F401 - for report()

__version__ = "0.1.0"


def run(app=None, **options):
    """Provision if needed, join, bind to the account, run `app(me)`; returns on Ctrl-C only.

    app: coroutine function, called when the board is online. Options, all by keyword:
    name: BLE name, at most 14 bytes (default PROV_ and six digits of the MAC).
    no_pop=True: let anyone in reach provision the board.
    manufacturer: record of the scan response; True is the RainMaker one that Espressif's Home app
    looks for, None none.
    attempts: joins per set of credentials (3).
    keep_ms: how long the service stays after the client has read "connected" (3000).
    timeout_ms: how long the board waits to be provisioned after it started (30 min; 0: for ever).
    wrong_proofs: so many wrong proofs of possession in a row stop provisioning (5; 0: never). After
    either only a reset begins it again.
    link_id: thethings.io shared id (default: random per 24-hour window; a guessable one lets a
    stranger link your board).
    persist_token=True: keep the user's access token in flash across reboots.
    ntp_hosts: time servers, tried in order.
    endpoints: {name: f}; what a client writes to that endpoint is given to f(data), in main.
    button: GPIO of a button to ground (9, BOOT): held 3 to 10 s it forgets Wi-Fi, over 10 s all but
    the identity, then the board restarts. led: GPIO of the lamp that tells (8). None for none.
    clouds: classes of your own, see homing.cloud.base.Cloud; bound like the others.
    security: 1 (default), 2, (1, 2), or for development 0; without it, what the identity says.
    transports: ways in, of "ble", "console" (the serial port) and "softap" (an access point of the
    board's own, open to all without softap_password, 8 to 63 bytes). portal=True: a page there for
    phones without an app.
    slow_security2=True: Security 2 over BLE although no native code runs.
    """
    import asyncio
    import sys

    from . import memory

    memory.loading(True)
    from .node import Node

    try:
        node = Node(**options)
        memory.loading(False)
        asyncio.run(node.set_up())
        # What the queue has seen last stays reachable through it, and with it all of provisioning.
        asyncio.new_event_loop()
        asyncio.run(node.live(app))
    finally:
        # Ctrl-C ends asyncio.run() without the `finally` of any task: BLE would go on answering.
        for way in ("ble", "softap", "dns"):
            way = sys.modules.get(__name__ + ".provisioning." + way)
            if way is not None:
                way.off()
        asyncio.new_event_loop()  # the next run() starts clean


def forget_wifi():
    """Forget the network; the next boot provisions again. Identity and cloud links stay."""
    from . import log
    from .store import Store

    Store().open("wifi").erase_all()
    log.ok("forget_wifi")


def factory_reset():
    """Forget the network, the owner and all that clouds keep; what is on the label (identity)
    and node credentials stay. Reset the board afterwards: a program that goes on may write things
    back."""
    from . import log
    from .store import Store

    store = Store()
    # The network last: if the power fails amid this, the board is not taken for a fresh one.
    for name in sorted(store.names(), key=lambda name: name == "wifi"):
        if name not in ("identity", "credentials"):
            store.open(name).erase_all()
    log.ok("factory_reset")


def set_identity(**fields):
    """Write fields of homing.identity.FIELDS (None erases). What `homing identity set` calls."""
    from . import log
    from .identity import update
    from .store import Store

    try:
        written = update(Store(), fields)
    except ValueError as e:
        log.err("identity", why=str(e))
        return
    log.ok("identity", written=written)


def Provisioner(name, **options):  # noqa: N802 - a class to its users, loaded when first used
    """The library form: `async with homing.Provisioner(name, pop=…) as p: async for event in p`.

    See homing.provisioning.provisioner for options and events. Joins no network and writes no
    file; lists networks with network.WLAN unless given its own `scan` (None: no list).
    """
    if options.get("security", 1) == 1:
        from .native_trial import admit

        admit("ctr", "x25519")
    else:
        from .security_choice import check_library

        check_library(options)
    from .provisioning.provisioner import Provisioner as Service

    if "scan" not in options:
        from .wifi import Station

        station = Station()
        station.on()
        options["scan"] = station.scan
    return Service(name, **options)
