"""Looks into a simulated board while it does its job: lines `@mem phase bytes` and `@deep bytes`.

Done by changing copies of the sources on their way to the board's flash; the project's stay as they
are. Raises ValueError when a place to look from is no longer there.
"""

from __future__ import annotations

import re

# Every state that main says is a moment to look at, after a collection.
_LOG = """

def mem(phase):
    import gc

    gc.collect()
    print("@mem", phase, gc.mem_alloc())


_state = state


def state(what, **fields):
    _state(what, **fields)
    mem(what)
"""

# Depth of the C stack between the entry of the interrupt handler and its deepest calls.
DEEP = """
from micropython import stack_use

deepest = 0
_base = None


def handler(function):
    def entered(event, data):
        global _base, deepest
        _base = stack_use()
        before = deepest
        try:
            return function(event, data)
        finally:
            _base = None
            if deepest > before:
                _news.append(deepest)
    return entered


_news = []


def tell():
    while _news:
        print("@deep", _news.pop(0))


def watched(function):
    def called(*args):
        global deepest
        if _base is not None:
            deepest = max(deepest, stack_use() - _base)
        return function(*args)
    return called
"""

# The ends of the chains of calls: nothing of ours is called from them.
_LEAVES = {
    "homing/protocomm/protobuf.py": ("_varint", "_put_varint"),
    "homing/crypto/aes_ctr_plain.py": ("counter_blocks", "xor"),
    "homing/crypto/inverse.py": ("inverse",),
    "homing/crypto/hmac.py": ("hmac_sha256",),
    "homing/crypto/ct.py": ("equal",),
}


def memory(path: str, text: str) -> str:
    """Put `@mem` lines at every state, after a scan, and while a TLS session is open."""
    if path.endswith("homing/log.py"):
        return text + _LOG
    if path.endswith("provisioning/provisioner.py"):
        line = r"^( +)self\._networks\.publish\(.*\)$"
        return _after(path, text, line, "from .. import log; log.mem('scan')")
    if path.endswith("cloud/https.py"):
        line = r"^( +)await stream\.drain\(\)$"
        return _after(path, text, line, "from .. import log; log.mem('tls')")
    return text


def depth(path: str, text: str) -> str:
    """Put `@deep` lines wherever a handler's chain of calls went deeper than before."""
    if path.endswith("provisioning/ble.py"):
        changed = text.replace("ble.irq(_irq)", "import deep; ble.irq(deep.handler(_irq))")
        return _changed(path, text, changed)
    for name, leaves in _LEAVES.items():
        if path.endswith(name):
            text += "\nimport deep\n"
            for leaf in leaves:
                if not re.search(rf"^def {leaf}\(", text, re.M):
                    raise ValueError(f"{path} has no {leaf}: the probe must be adapted")
                text += f"{leaf} = deep.watched({leaf})\n"
    if path.endswith("homing/log.py"):
        return text + (
            "\n_state = state\n\n\ndef state(what, **fields):\n"
            "    import deep\n\n    _state(what, **fields)\n    deep.tell()\n"
        )
    return text


def _after(path: str, text: str, line: str, code: str) -> str:
    return _changed(path, text, re.sub(line, rf"\g<0>\n\g<1>{code}", text, flags=re.M))


def _changed(path: str, text: str, changed: str) -> str:
    if changed == text:
        raise ValueError(f"{path} is not what it was: the probe must be adapted")
    return changed
