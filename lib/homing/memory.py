# The GC heap between the acts: modules are loaded without leaving holes, and go when an act ends.

import gc
import sys

from micropython import const

# An import leaves a hole where its file buffer was, and the next one starts behind it. Collecting
# that often lets the next import use the hole: else 20 KB end as pieces too small for anything.
# Four times as often frees 2 KB more, and collects 2,100 times in place of 600 until the board is
# online, which nobody would wait for.
_THRESHOLD_LEN = const(8192)

# What has done its part before BLE is switched on.
_START = (
    "homing.cloud.association",
    "homing.crypto.verifier",
    "homing.identity",
    "homing.protocomm.schemes",
    "homing.provisioning.qr",
    "homing.security_choice",
    "homing.startup",
)

# What only provisioning needs, and what stays of that: clouds are made of it.
_PROVISIONING = (
    "aioble",
    "homing.cloud.chal_resp",
    "homing.crypto",
    "homing.join",
    "homing.onboarding",
    "homing.protocomm",
    "homing.provisioning",
    "homing.security_choice",
    "homing.startup",
    "homing.ways",
    "homing.wifi_reasons",
)
_STAYS = const(("homing.protocomm", "homing.protocomm.errors", "homing.protocomm.protobuf"))

_kept = None  # the threshold that was there before


def loading(on):
    """True before modules are imported, False after: then the threshold is what it was before."""
    global _kept
    if on:
        gc.collect()
        if _kept is None:
            _kept = gc.threshold()
        gc.threshold(_THRESHOLD_LEN)
    elif _kept is not None:
        gc.threshold(_kept)
        _kept = None


def unload_start():
    """Give back the memory of modules that are used once, before BLE needs all there is."""
    unload(_START)


def unload_provisioning():
    """Give back the memory of the modules of provisioning, BLE being off; they can be imported
    again. Frees what nobody refers to any more: no object of theirs may be kept."""
    ble = sys.modules.get("homing.provisioning.ble")
    if ble:
        ble.let_go()
    unload(_PROVISIONING, _STAYS)


def unload(prefixes, stays=()):
    """Take modules by name, and what lies in them, from where an import would find them; but not
    those that stay."""
    for name in sorted(sys.modules, reverse=True):  # what lies in a package before it
        if name in stays:
            continue
        for prefix in prefixes:
            if name == prefix or name.startswith(prefix + "."):
                del sys.modules[name]
                parent, _, leaf = name.rpartition(".")
                parent = sys.modules.get(parent)
                if parent and hasattr(parent, leaf):
                    delattr(parent, leaf)
                break
