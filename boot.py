# Runs at every boot, before main.py. Whatever goes wrong in here, the REPL stays.
#
# Safe mode: press BOOT (GPIO9) within two seconds after reset (held during reset it is the chip's
# own download mode) and main.py is not run, so a program that locks you out can be replaced.
# An exception that leaves boot.py is how the esp32 port skips main.py (ports/esp32/main.c);
# sys.exit() would soft-reset for ever.

_MIN = (1, 29)  # the pinned MicroPython release, see firmware/README.md
_BOOT_PIN = 9
_WINDOW_MS = 2000
_UPDATE = "/update"
_DONE = (2, 17)  # ENOENT, EEXIST: that step was taken before the power failed


class SafeMode(Exception):
    pass


def _repeatable(step, *paths):
    try:
        step(*paths)
        return True
    except OSError as exc:
        if exc.errno not in _DONE:
            raise
    return False


def _finish_update():
    # `homing deploy` lays out a whole update in /update and renames its list to /update.json last.
    # From then on only the update will do: it is finished here, before anything of it can be
    # imported. Each step may be repeated, so the power may fail anywhere. The list is not in
    # /update because after a power failure amid a rename from one directory to another, littlefs
    # does not show the entry that follows the moved one until something is written.
    import os

    try:
        with open(_UPDATE + ".json") as file:
            text = file.read()
    except OSError:
        return
    import json

    todo = json.loads(text)
    for path in todo["remove"]:
        _repeatable(os.remove, path)
    for path in todo["make"]:
        _repeatable(os.mkdir, path)
    anew = False
    for source, path in todo["move"]:
        done = _repeatable(os.rename, source, path)
        anew = anew or (done and path == "/boot.py")
    os.remove(_UPDATE + ".json")
    try:
        os.rmdir(_UPDATE)
    except OSError:
        pass  # the next deployment will
    print("@ok", json.dumps({"updated": len(todo["move"]), "removed": len(todo["remove"])}))
    if anew:  # what runs here is the old one
        import machine

        machine.soft_reset()


def _boot_pressed(machine):
    from time import sleep_ms

    pin = machine.Pin(_BOOT_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
    for _ in range(_WINDOW_MS // 20):
        if not pin.value():
            return True
        sleep_ms(20)
    return False


def _boot():
    _finish_update()
    import json
    import sys

    version = tuple(sys.implementation.version[:3])
    if version[:2] < _MIN:
        raise SafeMode(
            "Homing needs MicroPython %d.%d or newer, this is %d.%d: "
            "flash a newer image (make flash)" % (_MIN + version[:2])
        )
    import machine

    import homing
    from homing.board import reset_cause

    cause = reset_cause()
    fields = '{"homing": %s, "micropython": "%d.%d.%d", "cause": %s, "lines": 1}'
    print("@boot", fields % ((json.dumps(homing.__version__),) + version + (json.dumps(cause),)))
    if cause == "soft":  # came from the REPL, which therefore works; but BLE may still be on
        import bluetooth

        bluetooth.BLE().active(False)
    elif _boot_pressed(machine):
        raise SafeMode("BOOT was pressed: main.py is not run; reset to leave safe mode")


_boot()
# They would stay in __main__ for good: a kilobyte of heap.
del SafeMode, _repeatable, _finish_update, _boot_pressed, _boot
