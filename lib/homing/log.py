# Serial output: plain sentences for people, one `@` line per state change for programs.
#
# Nothing secret may reach this module. As a second line of defence exceptions are printed by type
# and number only (`describe`): their text may carry what the caller was handling.

import json


def say(text):
    print(text)


def _line(tag, first, fields):
    # Built by hand: MicroPython's dicts do not keep their order; the name comes first.
    text = "@" + tag + " {" + first
    for key in sorted(fields):
        text += ', "' + key + '": ' + json.dumps(fields[key])
    print(text + "}")


def state(what, **fields):
    _line("state", '"state": ' + json.dumps(what), fields)


def ok(what, **fields):
    _line("ok", '"done": ' + json.dumps(what), fields)


def err(what, **fields):
    _line("err", '"error": ' + json.dumps(what), fields)


def describe(exc):
    """One word or two for an exception: its type, with the errno of an OSError."""
    name = type(exc).__name__
    errno = getattr(exc, "errno", None)
    if isinstance(exc, OSError) and isinstance(errno, int):
        return "%s(%d)" % (name, errno)
    return name
