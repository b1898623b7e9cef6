# What makes a board a node of RainMaker's: certificate, key and host for MQTT, written by the host
# tool, which alone loads this module. In a namespace of their own, read only to sign and to
# connect; whether they are there, and the kind of key, stands in the identity.
#
#     host    str    MQTT host            cert    bytes  certificate, DER
#     port    int    if not 8883          key     bytes  private key, DER: SEC 1, PKCS #1 or PKCS #8
#     scalar  bytes  of an EC key, 32: with it the node is mapped by ch_resp

from micropython import const

from .store import Store

_FIELDS = {"host": str, "port": int, "cert": bytes, "key": bytes, "scalar": bytes}
_TEXT_LEN_MAX = const(64)
_HOST_LEN_MAX = const(253)
_DER_LEN_MAX = const(4096)
_SCALAR_LEN = const(32)
_P256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # OBJECT IDENTIFIER prime256v1
_RSA = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"  # OBJECT IDENTIFIER rsaEncryption


def write(**fields):
    """What `homing identity credentials` calls: see update(). Says how it went."""
    from . import log

    try:
        written = update(Store(), fields)
    except ValueError as e:
        log.err("credentials", why=str(e))
        return
    except OSError as e:
        log.err("credentials", why=log.describe(e), cure="free some space")
        return
    log.ok("credentials", written=written)


def update(store, fields):
    """Make the board the node that `fields` describe: node_id, and those above; {} makes it none.

    True if anything was written. Raises ValueError, never with a value in its text; OSError.
    """
    identity = store.open("identity")
    if not fields:
        for name in ("node_id", "node_key"):
            identity.erase(name)
        erased = identity.commit()
        return store.open("credentials").erase_all() or erased
    values = dict(fields)
    node_id = values.pop("node_id", None)
    _check_text("node_id", node_id, _TEXT_LEN_MAX, b"/+#$")
    node_key = _check(values)
    ns = store.open("credentials")
    same = all(ns.get(name) == values.get(name) for name in _FIELDS)
    another = identity.get("node_id") not in (None, node_id)
    # Whenever the power fails, the identity promises no more than what is there: nothing while the
    # credentials are exchanged, and all of it last.
    if identity.get("node_key") and not (same and not another):
        identity.erase("node_key")
        identity.commit()
    if another:
        store.open("rainmaker").erase_all()  # that was another node's
    for name in _FIELDS:
        if values.get(name) is None:
            ns.erase(name)
        else:
            ns.set(name, values[name])
    written = ns.commit()
    identity.set("node_id", node_id)
    identity.set("node_key", node_key)
    return identity.commit() or written


def _check(values):
    # The kind of key.
    for name, value in values.items():
        kind = _FIELDS.get(name)
        if kind is None:
            raise ValueError("no credential %r; there are: %s" % (name, ", ".join(_FIELDS)))
        if value is not None and not isinstance(value, kind):
            raise ValueError("%s must be %s" % (name, kind.__name__))
    _check_text("host", values.get("host"), _HOST_LEN_MAX, b"/:@")
    port = values.get("port")
    if port is not None and not 0 < port <= 0xFFFF:
        raise ValueError("port must be 1 to 65535")
    cert, key = values.get("cert"), values.get("key")
    for name, der in (("cert", cert), ("key", key)):
        if not der or not _is_sequence(der):
            raise ValueError("%s must be DER, of at most %d bytes" % (name, _DER_LEN_MAX))
    scalar = values.get("scalar")
    if _P256 not in cert:
        if _RSA not in cert:
            raise ValueError("cert must have a key on P-256 or of RSA")
        if scalar is not None:
            raise ValueError("scalar belongs to a key on P-256")
        return "rsa"
    # Whether key and cert belong together is for the host to find out.
    if scalar is not None and (len(scalar) != _SCALAR_LEN or scalar not in key):
        raise ValueError("scalar must be that of key, %d bytes" % _SCALAR_LEN)
    return "ec"


def _check_text(name, value, limit, without):
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise ValueError("%s must be a text of 1 to %d characters" % (name, limit))
    for byte in value.encode():
        if not 0x20 < byte < 0x7F or byte in without:
            raise ValueError("%s has a character that it must not have" % name)


def _is_sequence(der):
    # Whole and nothing more, of less than 64 KB.
    if len(der) < 4 or len(der) > _DER_LEN_MAX or der[0] != 0x30:
        return False
    if der[1] == 0x82:
        return len(der) == 4 + (der[2] << 8 | der[3])
    if der[1] == 0x81:
        return len(der) == 3 + der[2]
    return len(der) == 2 + der[1] < 0x82
