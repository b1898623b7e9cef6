# Power is cut at every block operation of several commits, and in the middle of each: a fresh
# Store reads exactly what was there before the commit or exactly what it wrote.

from flash import Flash, cuts, formatted, mounted
from support import raises

from homing import store as store_module
from homing.store import Store

_DIR = "/flash/homing"
_NAMES = ("identity", "wifi")
_KEYS = ("ssid", "password", "token", "pop")


def _steps():
    # (what it is, namespace, changes or None to erase all)
    return (
        ("create", "wifi", {"ssid": b"home", "password": b"secret123"}),
        ("change", "wifi", {"password": b"secret456"}),
        ("second namespace", "identity", {"pop": "ABCDEFGH2345"}),
        ("grow", "wifi", {"token": bytes(range(256)) * 9}),
        ("change the other", "identity", {"pop": "ZZZZZZZZ2345", "token": 7}),
        ("shrink", "wifi", {"token": None, "ssid": b"home\0\xff"}),
        ("erase a key", "identity", {"token": None}),
        ("erase all", "wifi", None),
        ("create again", "wifi", {"ssid": b"new home"}),
    )


class _Corrupt(Exception):
    pass


def _report(namespace, why):
    raise _Corrupt(namespace + ": " + why)


def _everything():
    # What a fresh Store reads: {namespace: {key: value}}.
    store = Store(_DIR, _report)
    return {
        name: {key: store.open(name).get(key) for key in _KEYS if store.open(name).get(key)}
        for name in _NAMES
    }


def _do(name, changes):
    ns = Store(_DIR, _report).open(name)
    if changes is None:
        ns.erase_all()
        return
    for key, value in changes.items():
        if value is None:
            ns.erase(key)
        else:
            ns.set(key, value)
    ns.commit()


def _check(image, allowed):
    # What is read is one of `allowed`, stays that after any cut while it is being read (recovery
    # writes), and the store works on. Returns what was read.
    flash = Flash(image)
    found = mounted(_everything, flash)
    assert found in allowed, found
    for _, torn in cuts(image, flash.operations):
        assert mounted(_everything, Flash(torn)) == found
    mounted(_do, flash, "wifi", {"pop": "after"})
    expected = {name: dict(found[name]) for name in _NAMES}
    expected["wifi"]["pop"] = "after"
    assert mounted(_everything, flash) == expected
    return found


def _check_fat(image, allowed):
    flash = formatted(fat=True)
    flash.image[:] = image
    found = mounted(_everything, flash, fat=True)
    assert found in allowed, found
    assert mounted(_everything, flash, fat=True) == found
    return found


def _sweep(flash, steps, fat=False):
    before = mounted(_everything, flash, fat=fat)
    counts = []
    for what, name, changes in steps:
        image = bytes(flash.image)
        flash.operations.clear()
        mounted(_do, flash, name, changes, fat=fat)
        operations = list(flash.operations)
        after = mounted(_everything, flash, fat=fat)
        assert after != before
        seen = {"before": 0, "after": 0}
        for where, torn in cuts(image, operations):
            if fat and where[1]:
                continue  # FAT itself does not survive half a sector
            try:
                found = (_check_fat if fat else _check)(torn, (before, after))
            except (AssertionError, OSError, _Corrupt) as e:
                raise AssertionError(f"{what}, cut at {where}: {e!r}") from None
            seen["after" if found == after else "before"] += 1
        # Once commit has returned it is durable; and the cuts were early enough to be cuts.
        assert found == after and seen["before"] and seen["after"], (what, seen)
        counts.append((what, len(operations), seen["before"], seen["after"]))
        before = after
    return counts


def _print(counts):
    for what, operations, before, after in counts:
        print(f"{what}: {operations} operations; old after {before} cuts, new after {after}")


def test_every_cut():
    _print(_sweep(formatted(), _steps()))


def test_every_cut_between_two_sector_writes_on_fat():
    _print(_sweep(formatted(fat=True), _steps(), fat=True))


def _in_place(self):
    # The obvious way to save: over the old file, piece by piece.
    blob = store_module._serialise(self._values, self._generation + 1)
    with open(self._base + ".dat", "wb") as file:
        for pos in range(0, len(blob), 64):
            file.write(blob[pos : pos + 64])
            file.flush()


def _remove_first(self):
    # Almost right: a new file, but the old one goes first.
    blob = store_module._serialise(self._values, self._generation + 1)
    store_module._remove(self._base + ".dat")
    self._write(self._base + ".dat", blob)


def test_unsafe_writers_are_caught():
    safe = store_module.Namespace.commit
    for writer in (_in_place, _remove_first):
        flash = formatted()
        mounted(_do, flash, "wifi", {"ssid": b"first"})
        store_module.Namespace.commit = writer
        try:
            e = raises(AssertionError, _sweep, flash, (("change", "wifi", {"ssid": b"x" * 200}),))
        finally:
            store_module.Namespace.commit = safe
        assert "cut at" in str(e), e
        print(writer.__name__, "-", e)
