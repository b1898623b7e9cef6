# What a board does once, when it starts: it makes itself of the maker's options, refuses what it
# cannot offer, and says who it is. Unloaded before BLE needs the memory.

from . import __version__, board, log
from .wifi import Station


def begin(
    node,
    *,
    name=None,
    no_pop=False,
    manufacturer=True,
    attempts=3,
    keep_ms=3000,
    timeout_ms=1800000,
    wrong_proofs=5,
    link_id=None,
    persist_token=False,
    ntp_hosts=("pool.ntp.org", "time.google.com"),
    endpoints=None,
    clouds=(),
    security=None,
    slow_security2=False,
    transports=("ble",),
    softap_password=None,
    portal=False,
    button=9,
    led=8,
    **model,
):
    """Make of the options of homing.run what a Node is; see there. Raises ValueError."""
    node.manufacturer = manufacturer
    node.transports = transports
    node.softap_password = softap_password
    node.portal = portal
    node.attempts = attempts
    node.keep_ms = keep_ms
    node.timeout_ms = timeout_ms
    node.wrong_proofs = wrong_proofs
    node.spent = None  # of these two, by a service that a fault ended
    node.ntp_hosts = ntp_hosts
    node.endpoints = endpoints or {}
    node.button = None
    if button is not None:
        from .button import watch

        node.button = watch(button, led)
    node.wifi = node.store.open("wifi")
    if security is None:
        security = node.store.open("identity").get("security", 1)
    kernels, fits = ("ctr", "x25519"), None
    if security in (1, "1"):
        node.security = 1
    else:
        from .security_choice import begin

        node.security, kernels, fits = begin(security)
    node.slow_security2 = slow_security2
    if not node.wifi.get("ssid"):
        from .native_trial import admit

        node_key = node.store.open("identity").get("node_key")
        if node_key:
            from .cloud.association import begin

            kernels += begin(node_key)
        admit(*kernels)  # before radios take the memory that code needs
    node.station = Station()
    node.station.on()  # before the first secret is drawn: only now is os.urandom random
    from .identity import default_name, load  # here, so that it can be unloaded

    node.identity = load(node.store, fits)
    mac = board.mac()
    node.name = name or default_name(mac)
    node.id = node.identity.get("node_id") or "".join(["%02x" % b for b in mac])
    if model:
        from .devices import check

        check(model)
    node.model = model if model or node.identity.get("node_key") else None
    node.no_pop = no_pop
    node.pop = None if no_pop or node.security == 0 else node.identity.get("pop")
    node.clouds = _clouds(node, link_id, persist_token)
    node.clouds.extend([node.cloud(kind) for kind in clouds])


def _clouds(node, link_id, persist_token):
    clouds = []
    # Tokens and link ids must not travel where anyone in reach could open the session.
    allowed = node.security != 0 and not node.no_pop
    if node.identity.get("thing_token"):
        from .cloud.thethings import ThethingsIo

        clouds.append(node.cloud(ThethingsIo, allowed=allowed, link_id=link_id))
    if node.identity.get("node_id"):
        from .cloud.rainmaker import RainMaker

        options = {"allowed": allowed, "persist_token": persist_token}
        if node.identity.get("node_key"):
            from .store import Store

            options["credentials"] = Store  # one of its own: the node's would keep what it has read
        else:
            log.say("no RainMaker node credentials: homing identity credentials, on your computer")
            options["associate"] = "softap" in node.transports
        clouds.append(node.cloud(RainMaker, **options))
    return clouds


def check(node):
    """Raise ValueError if the board's name, an endpoint's or its security cannot be offered."""
    from .provisioning.advert import ESPRESSIFS, check_name, endpoint_ids

    check_name(node.name, node.manufacturer)
    theirs = [pair[0] for cloud in node.clouds for pair in cloud.endpoints()]
    endpoint_ids(ESPRESSIFS + theirs + list(node.endpoints))
    if node.transports != ("ble",) or node.portal:
        from .ways import check

        check(node)
    if node.security != 1 or not (node.pop or node.no_pop):
        from .security_choice import check

        check(node)


def banner(node):
    """Say who this board is, to the person who holds it."""
    from .crypto import native
    from .provisioning import qr

    pop = node.pop
    security = node.security if node.security in (0, 1) else 2
    username = node.identity.get("username", "wifiprov")
    way = {}
    if node.transports != ("ble",):
        from .ways import qr_options

        way = qr_options(node)
    payload = None
    if way is not None:
        payload = qr.payload(node.name, pop, security=security, username=username, **way)
    if security == 2 and not pop:
        pop = "see label"  # there is a verifier only; an app asks for what the QR code leaves out
    log.state("unprovisioned", name=node.name, native=native.allowed)
    log.say("Homing %s: this board has no network yet." % __version__)
    log.say("  name: " + node.name)
    log.say("  proof of possession: " + (pop or "none"))
    if payload:
        log.say("  QR: " + payload)
        log.say("  link: " + qr.link(payload))
    if "console" in node.transports:
        log.say("  console: this serial port; type help")
