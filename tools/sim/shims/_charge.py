"""Lets cryptography cost the world's time."""

import builtins
import sys

import _world

_LEAST_MS = 5  # what costs less is charged together with what follows
_CRYPTO = "homing.crypto."


class _Meter:
    # What was used and not yet paid.
    owed_ms = 0

    def take(self, ms):
        self.owed_ms += ms
        if self.owed_ms >= _LEAST_MS:
            whole = int(self.owed_ms)
            self.owed_ms -= whole
            _world.charge(whole)


def charge(costs):
    """Let each operation take what it costs the chip, plain or native as the board has admitted,
    without touching the product. costs: see tools/sim/costs.py."""
    plain_import = builtins.__import__
    meter = _Meter()

    def costly(kernel, function, operation, count=None):
        allowed = getattr(sys.modules.get(_CRYPTO + "native"), "allowed", ())
        ms = costs["native" if kernel in allowed else "plain"][operation]

        def charged(*args):
            start = _world.ticks_ms()
            try:
                return function(*args)
            finally:
                cost = ms if count is None else ms * count(args)
                meter.take(max(0, cost - (_world.ticks_ms() - start)))

        return charged

    def x25519(module):
        module.public_key = costly("x25519", module.public_key, "x25519.base")
        module.shared_secret = costly("x25519", module.shared_secret, "x25519.arbitrary")

    def mod3072(module):
        kind = module.Mod3072
        for name in ("multiply", "square"):
            setattr(kind, name, costly("mod3072", getattr(kind, name), "mod3072." + name))

    def sha512(module):
        module.compress = costly("sha512", module.compress, "sha512.block")

    def ghash(module):
        def blocks(args):
            return len(args[2]) // 16

        module.update = costly("ghash", module.update, "ghash.block", blocks)

    def p256(module):
        module.sign = costly("p256", module.sign, "ecdsa")

    # By module: what is there once all of it is, and what to do then.
    meters = {
        _CRYPTO + "x25519": ("shared_secret", x25519),
        _CRYPTO + "mod3072": ("Mod3072", mod3072),
        _CRYPTO + "sha512": ("Sha512", sha512),
        _CRYPTO + "ghash": ("ghash", ghash),
        _CRYPTO + "p256": ("_sequence", p256),
    }

    def importing(*args):
        result = plain_import(*args)
        for name in meters:
            module = sys.modules.get(name)
            last, meter_it = meters[name]
            if module and hasattr(module, last) and not hasattr(module, "_metered"):
                module._metered = True
                meter_it(module)
        return result

    builtins.__import__ = importing
