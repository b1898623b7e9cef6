# Which security scheme a board has, if not Security 1: what that needs, and whether it has it.

import asyncio

from micropython import const

from . import log, memory

_CHOICES = (0, 1, 2, (1, 2))
_DEFAULT_USERNAME = "wifiprov"  # what Espressif's apps send
_STEPS = const(8)  # multiplications between two turns of the loop
_ALL_STEPS = const(654)


def read(value):
    """0, 1, 2 or (1, 2): of the store's text ("1,2") or of a keyword. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = [int(part) for part in value.split(",")]
        except ValueError:
            pass
        if len(value) == 1:
            value = value[0]
    if isinstance(value, (list, tuple)):
        value = tuple(sorted(value))
    if value not in _CHOICES:
        raise ValueError("no security %r; there are 0, 1, 2 and (1, 2)" % (value,))
    return value


def begin(value):
    """At boot: what is chosen, names of the native code for it, and whether(identity, pop) clients
    can use a proof of possession, or None if any will do. Raises ValueError."""
    which = read(value)
    if which == 0:
        log.say("WARNING: Security 0. Whoever is in reach can read and change all. Never ship it.")
    return which, _kernels(which), _fits if _has_2(which) else None


def check(node):
    """Raise ValueError, which names the cure, if the board cannot offer what is chosen."""
    which = node.security
    if which != 0 and which != 2 and not (node.pop or node.no_pop):
        raise ValueError(
            "only a verifier is kept here, which serves Security 2 alone: security=2, or erase the "
            "verifier (homing identity set --erase verifier)"
        )
    if _has_2(which):
        if node.no_pop:
            raise ValueError(
                "Security 2 needs a proof of possession: no no_pop=True, or security=1"
            )
        if node.pop and not node.identity.get("verifier"):
            _check_pop(_username(node.identity), node.pop.encode())
        if "ble" in node.transports:
            _check_speed(node.slow_security2)


def check_library(options):
    """The same for homing.Provisioner(), of whose options it takes those that are not known there;
    native code is admitted."""
    from .native_trial import admit

    which, kernels, _ = begin(options["security"])
    options["security"] = which
    slow = options.pop("slow_security2", False)
    admit(*kernels)
    if _has_2(which):
        pop = options.get("pop")
        if pop is not None and options.get("verifier") is None:
            pop = pop if isinstance(pop, bytes) else pop.encode()
            _check_pop(_DEFAULT_USERNAME.encode(), pop)
        transports = options.get("transports")
        if transports is None or any(getattr(t, "in_interrupt", False) for t in transports):
            _check_speed(slow)


def check_fields(ns, fields):
    """Identity fields as they go to the store: text or, of salt and verifier, bytes. Raises
    ValueError."""
    out = dict(fields)
    which = out.get("security")
    if which is not None:
        read(which)
    for name in ("salt", "verifier"):
        if out.get(name) is not None:
            out[name] = _unhex(name, out[name])
    salt, verifier = out.get("salt"), out.get("verifier")
    if ("salt" in out) != ("verifier" in out) or (salt is None) != (verifier is None):
        raise ValueError("salt and verifier belong together")
    if salt is not None:
        if not salt[0]:
            raise ValueError("salt must not begin with a zero byte: some clients lose it")
    elif "salt" in out or any(k in out and out[k] != ns.get(k) for k in ("pop", "username")):
        out["salt"] = out["verifier"] = None  # of another proof: the board makes new ones
    which = which or ns.get("security")
    pop = out.get("pop")
    if pop is not None and which and _has_2(read(which)):
        _check_pop((out.get("username") or _username(ns).decode()).encode(), pop.encode())
        memory.unload(("homing.crypto",))  # loaded before it is known which of it is native
    return out


async def verifier(node):
    """(salt, verifier) of the board, made once and stored; the loop goes on meanwhile."""
    ns = node.identity
    if ns.get("verifier"):
        return ns.get("salt"), ns.get("verifier")
    from .crypto.verifier import make, new_salt

    salt = new_salt()
    out = bytearray()
    for done, _ in enumerate(make(salt, _username(ns), node.pop.encode(), out), 1):
        if done % _STEPS == 0:
            await asyncio.sleep_ms(0)
        if done % (_ALL_STEPS // 4) == 0:
            log.say("making the verifier of Security 2, once: %d %%" % (100 * done // _ALL_STEPS))
    ns.set("salt", salt)
    ns.set("verifier", bytes(out))
    try:
        ns.commit()
    except OSError as e:
        log.err("store", namespace="identity", why=log.describe(e), cure="free some space")
    return salt, bytes(out)


def _kernels(which):
    names = () if which in (0, 2) else ("x25519",)
    if _has_2(which):
        names += ("sha512", "ghash", "mod3072")
    return ("ctr",) + names if names else names


def _fits(identity, pop):
    from .crypto.verifier import fits

    return fits(_username(identity), pop.encode())


def _has_2(which):
    return which == 2 or which == (1, 2)


def _username(identity):
    return identity.get("username", _DEFAULT_USERNAME).encode()


def _unhex(name, text):
    from binascii import unhexlify

    try:
        return unhexlify(text)
    except ValueError:
        raise ValueError("%s must be hexadecimal, two digits a byte" % name) from None


def _check_pop(username, pop):
    from .crypto.verifier import fits

    if not fits(username, pop):
        raise ValueError(
            "with this proof of possession some clients of Security 2 always fail (one in 256 is so"
            "): change a character of it"
        )


def _check_speed(slow):
    from .crypto import native  # here: check_fields() unloads it

    if "mod3072" in native.allowed:
        return
    if not slow:
        raise ValueError(
            "Security 2 over BLE takes some 6 seconds a client without native code, which does "
            "not run on this board: deploy it (homing sim --native), or security=1, or "
            "slow_security2=True"
        )
    log.say("WARNING: no native code: each client of Security 2 waits some 6 seconds, and the")
    log.say("  board does nothing else meanwhile. Clients give up after 30.")
