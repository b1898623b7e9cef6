# A board's first act: unprovisioned → credentials proven → saved → told → BLE off. Unloaded then.

import asyncio

from micropython import const

from . import board, log, memory
from .join import JoinError, failure_text, join

_RESET_PAUSE_MS = const(200)
_STOPPED_MS = const(60000)


async def provision(node):
    """Until the credentials are stored and the client has been told; may reset the board."""
    if node.wifi.get("ssid"):
        return  # begun anew after a fault that came later than the credentials
    # Nothing of the cloud's HTTPS or of the app is loaded yet: BLE gets the memory.
    memory.loading(True)
    from .provisioning.provisioner import Provisioner

    _banner(node)
    verifier = None
    if node.security not in (0, 1):
        from .security_choice import verifier

        verifier = await verifier(node)
    endpoints = [pair for cloud in node.clouds for pair in cloud.endpoints()]
    extra = {"homing": {"ver": "1.0", "cap": [name for name, _handler in endpoints]}}
    for cloud in node.clouds:
        extra.update(cloud.caps)
    provisioner = Provisioner(
        node.name,
        pop=node.pop,
        scan=node.station.scan,
        manufacturer=node.manufacturer,
        extra=extra,
        keep_ms=node.keep_ms,
        timeout_ms=node.timeout_ms,
        wrong_proofs=node.wrong_proofs,
        security=node.security,
        verifier=verifier,
        transports=_transports(node),
    )
    for name, handler in endpoints:
        provisioner.endpoint(name, reply=handler)
    for name, on_data in node.endpoints.items():
        provisioner.endpoint(name, on_data=on_data)
    _prepare_clouds(node)
    memory.unload_start()
    memory.loading(False)
    if node.spent:
        provisioner.wrong, provisioner.took_ms = node.spent
    why = None
    try:
        async with provisioner:
            async for event in provisioner:
                await _on_event(node, provisioner, event)
                if event.kind == "stopped":
                    why = event.why
    finally:
        node.spent = provisioner.wrong, provisioner.took_ms
        provisioner = None
    log.state("ble-off", **board.heap())
    while why:
        await asyncio.sleep_ms(_STOPPED_MS)  # Ctrl-C and the button still work
    if board.idf_heap()[1] < board.TLS_BLOCK_LEN:
        log.say("not enough memory in one piece for TLS: restarting, online comes next")
        await asyncio.sleep_ms(_RESET_PAUSE_MS)  # let the line get out
        board.reset()


def _banner(node):
    # Not in provision(), which would keep what it has imported.
    from .startup import banner

    banner(node)


def _transports(node):
    if node.transports != ("ble",):
        from .ways import make

        return make(node)
    from .provisioning.ble import BleTransport

    return (BleTransport(node.name, manufacturer=node.manufacturer),)


def _prepare_clouds(node):
    for cloud in node.clouds:
        try:
            cloud.prepare()
            cloud.commit()
        except OSError as e:
            # Flash is full, or was written by a newer version: Wi-Fi can still be set up.
            log.err("store", namespace=cloud.name, why=log.describe(e), cure="free some space")


async def _on_event(node, provisioner, event):
    kind = event.kind
    if kind == "credentials":
        await _try(node, provisioner, event.ssid, event.password)
    elif kind == "advertising":
        if "ble" in node.transports:
            log.say("advertising as %s, waiting for an app (prefix PROV_)" % event.name)
        if "softap" in node.transports:
            log.say("access point %s is up, at http://192.168.4.1/" % event.name)
        log.state("advertising", name=event.name, **board.heap())
    elif kind == "client":
        log.state("client", up=True)
    elif kind == "gone":
        log.state("client", up=False)
    elif kind == "secured":
        log.state("secured")
    elif kind == "wrong_pop":
        limit = " of %d" % node.wrong_proofs if node.wrong_proofs else ""
        log.say("wrong proof of possession (%d%s)" % (event.count, limit))
        log.state("wrong-pop", n=event.count)
    elif kind == "refused":
        log.say("a handshake was refused: " + event.why)
    elif kind == "done":
        log.state("provisioned", told=event.told)
    elif kind == "stopped":
        log.say("provisioning has stopped (%s); reset the board to begin again" % event.why)
        log.state("stopped", why=event.why)


async def _try(node, provisioner, ssid, password):
    try:
        outcome = await _join_and_save(node, provisioner, ssid, password)
    except JoinError as e:
        log.say(failure_text(e))
        log.state("join-failed", reason=e.reason, status=e.status)
        outcome = {"ok": False, "reason": e.reason}
    except OSError as e:
        log.err("store", why=log.describe(e), cure="free some space on the file system")
        outcome = {"ok": False}
    except Exception as e:  # noqa: BLE001 whatever it is, the person may try again
        log.err("join", why=log.describe(e))
        outcome = {"ok": False}
    await provisioner.report(**outcome)


async def _join_and_save(node, provisioner, ssid, password):
    # Everything that came along with the credentials is safe before the join starts.
    for cloud in node.clouds:
        cloud.take()
        cloud.commit()
    # An SSID is bytes, mostly text; its repr is readable and safe either way.
    log.state("joining", ssid=repr(ssid))
    await join(node.station, ssid, password, node.attempts, provisioner.attempt_failed)
    ip, auth, bssid, channel = node.station.details(ssid)
    wifi = node.wifi
    wifi.set("ssid", ssid)
    wifi.set("password", password)
    wifi.set("low_power", int(node.station.low_power))
    try:
        wifi.commit()
    except OSError:
        wifi.rollback()
        raise
    log.state("saved", ip=ip)
    return {"ok": True, "ip": ip, "auth": auth, "bssid": bssid, "channel": channel}
