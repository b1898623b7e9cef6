# X25519 (RFC 7748): native where that can be loaded, else on MicroPython's big integers.

from micropython import const

from . import native

_KEY_LEN = const(32)
P = (1 << 255) - 19  # the field

_kernel = native.load("x25519")
if _kernel is None:
    from .x25519_plain import multiply
else:
    _BASE = b"\x09" + bytes(31)

    def multiply(scalar, u=None):
        out = bytearray(_KEY_LEN)
        scalar = native.source(scalar, _KEY_LEN)
        point = native.source(_BASE if u is None else u, _KEY_LEN)
        _kernel.multiply(out, scalar, point, int(u is None))  # pyright: ignore - there is one
        return bytes(out)


def public_key(private):
    """The public key, 32 bytes, of a private one. Raises ValueError for a wrong length."""
    _check_private(private)
    return multiply(private)


def shared_secret(private, peer):
    """What both sides can compute, 32 bytes; not uniform, so derive keys from it or mask it.

    peer: u coordinate as received. Its top bit is ignored and values of 2**255 - 19 and above are
    taken modulo that (RFC 7748, section 5). Raises ValueError for a wrong length, and for a point
    of low order in any encoding: its result is all zero whatever the private key (section 6.1).
    """
    _check_private(private)
    if len(peer) != _KEY_LEN:
        raise ValueError("bad public key length")
    secret = multiply(private, peer)
    seen = 0
    for byte in secret:
        seen |= byte
    if not seen:
        raise ValueError("low-order public key")
    return secret


def _check_private(private):
    if len(private) != _KEY_LEN:
        raise ValueError("bad private key length")
