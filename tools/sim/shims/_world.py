"""Board side of the channel to the world, and the world's clock as the board sees it.

Everything here runs inside the board's interpreter. A KeyboardInterrupt may strike at any jump, so
bytes are moved between buffers in straight lines, and late replies are dropped by their id.
"""

import builtins
import json
import sys

import uos
import uselect
import utime
from micropython import const

_IN = const(1)  # POLLIN
_CHUNK = const(256)  # small, and only once: these shims live on the board's heap
_REPLY_GRACE_MS = const(5)  # real; a call answered within it is not reported as idling

config = json.loads(uos.getenv("HOMING_SIM_CONFIG") or "{}")
fd = int(uos.getenv("HOMING_SIM_FD") or -1)
# Captured before anything overrides them for the guards.
_open = builtins.open
_print = builtins.print

_pipe = _open(fd, "r+b") if fd >= 0 else None
_poller = uselect.poll()
if fd >= 0:
    _poller.register(fd, _IN)
_chunk = bytearray(_CHUNK)
_buf = bytearray()
_events = []  # parsed events not yet dispatched
_replies = {}  # id -> message, for calls in progress
_handlers = {}
_next_id = 0
_seen = 0  # messages taken from the channel; the world compares with what it sent
_dispatching = False
_reporting = False  # the world wants to know when this board idles, so that it can skip time
timers = []  # of machine.Timer: objects with .due (ticks) and .fire()
radios = set()  # radios that are on: "wifi", "ble"
entropy = False  # a radio was on at some time since reset, so the generator is truly random

in_handler = 0  # depth of BLE handlers; the bluetooth shim counts
linger_ms = 0  # real; a handler sets it: what follows at once is handled before main gets a turn
slice_ms = -1  # real; never wait longer at once: a host stack in the interpreter wants its turns


# --- clock -------------------------------------------------------------------------------------
# ticks = base_ticks + (real - base_real) * speed; the world moves the base when it skips time.
# Here they never wrap; the interpreter's own do, after minutes if it is a 32-bit one.
TICKS_MASK = sys.maxsize >> 1
_clock = config.get("clock") or [0, 0, 1000]
_base_ticks_us = _clock[0] or utime.ticks_us()
_base_real_us = _clock[1] & TICKS_MASK or utime.ticks_us()
_speed = _clock[2]  # thousandths


def ticks_us():
    """The world's time in µs; never behind the interpreter's own ticks, which C code uses."""
    return _base_ticks_us + utime.ticks_diff(utime.ticks_us(), _base_real_us) * _speed // 1000


def ticks_ms():
    return ticks_us() // 1000


def _on_clock(base_ticks_us, base_real_us, speed, reporting):
    global _base_ticks_us, _base_real_us, _speed, _reporting
    _base_ticks_us = base_ticks_us
    _base_real_us = base_real_us & TICKS_MASK
    _speed = speed
    _reporting = reporting


def real_ms(virtual_ms):
    """Milliseconds to wait really for that many of the world's, rounded up."""
    return (virtual_ms * 1000 + _speed - 1) // _speed


# --- messages ----------------------------------------------------------------------------------
def _send(message):
    data = json.dumps(message) + "\n"
    data = data.encode()
    done = _pipe.write(data) or 0
    while done < len(data):  # the world is slow: rare, and half a message must not stay half
        try:
            utime.sleep_ms(1)
            done += _pipe.write(data[done:]) or 0
        except KeyboardInterrupt:
            pass


def _receive():
    """Take what has arrived; replies go to their calls, events into the queue."""
    global _seen
    while _poller.poll(0):
        count = _pipe.readinto(_chunk)
        if not count:
            _gone()
        _buf.extend(memoryview(_chunk)[:count])
    while True:
        end = _buf.find(b"\n")
        if end < 0:
            return
        message = json.loads(memoryview(_buf)[:end])
        _buf[: end + 1] = b""
        _seen += 1
        if "ev" in message:
            if message["ev"] == "clock":
                _on_clock(*message["a"])
            elif message["ev"] == "interrupt.cancel":
                _events[:] = [e for e in _events if e["ev"] != "interrupt"]
            else:
                _events.append(message)
        elif message.get("i") in _replies:
            _replies[message["i"]] = message


def _gone():
    # The world has ended: a board without a world must not live on.
    uos.system("kill -9 $PPID")


def _dispatch():
    """Run the handlers of queued events, one after the other and never one inside another."""
    global _dispatching, linger_ms
    if _dispatching or in_handler:
        return
    _dispatching = True
    try:
        while _events:
            _run(_events.pop(0))
            if linger_ms and not _events and _poller.poll(linger_ms):
                _receive()
            linger_ms = 0
    finally:
        _dispatching = False


def _run(message):
    handler = _handlers.get(message["ev"])
    answer = {"n": message.get("n"), "r": None}
    try:
        if handler:
            answer["r"] = handler(*message["a"])
    except Exception as exc:  # noqa: BLE001 - the world gets it as its answer
        answer = {"n": message.get("n"), "e": type(exc).__name__, "m": str(exc)}
        if message.get("n") is None:
            sys.print_exception(exc)
    finally:
        if message.get("n") is not None:
            _send(answer)


def on(event, handler):
    """Call handler(*args) for each event of that name; its result answers a request."""
    _handlers[event] = handler


def _interrupted():
    # ^C, where the chip takes it too: between steps. A signal would also strike inside the garbage
    # collector, with the heap locked for good.
    notify("interrupted")
    raise KeyboardInterrupt


on("interrupt", _interrupted)


def notify(op, *args):
    """Tell the world something; no answer."""
    if _pipe:
        _send({"op": op, "a": args})


def call(op, *args):
    """Ask the world and wait for the answer; events that arrive meanwhile are handled.

    Raises what the world's side raised, by name (OSError with its errno).
    """
    global _next_id
    _next_id += 1
    ident = _next_id
    _replies[ident] = None
    try:
        _send({"i": ident, "op": op, "a": args})
        reported = -1
        while _replies[ident] is None:
            came = _poller.poll(_REPLY_GRACE_MS if _reporting else slice_ms)
            if not came and _reporting and reported != _seen:
                reported = _seen
                notify("idle", None, _seen)
            _receive()
            _dispatch()
        if reported == _seen:  # else the world knows: it has sent more than was seen then
            notify("idle", -1, _seen)
        reply = _replies[ident]
    finally:
        del _replies[ident]
    if "e" in reply:
        raise _error(reply["e"], reply.get("m"))
    return reply["r"]


def _error(kind, argument):
    cls = getattr(builtins, kind, None)
    if cls is None or not issubclass(cls, Exception):
        return RuntimeError(kind + ": " + str(argument))
    return cls() if argument is None else cls(argument)


# --- waiting -----------------------------------------------------------------------------------
def pump():
    """Handle what has arrived and what is due, without waiting."""
    if _pipe:
        _receive()
        _dispatch()
    if timers and not in_handler:
        _fire_timers()


def _fire_timers():
    now = ticks_ms()
    for timer in list(timers):
        if timer.due <= now:
            timer.fire(now)


def wait(timeout_ms, poll=None, check=None):
    """Wait that many of the world's ms (-1: for ever), handling events.

    poll(real_ms) waits on the caller's streams and the channel and is true when one of the
    caller's is ready; check() looks at what can only change through events. Returns early on
    either; without both only after the whole time.
    """
    deadline = None if timeout_ms < 0 else ticks_ms() + timeout_ms
    reported = -1
    result = None
    while True:
        pump()
        if check and check():
            break
        now = ticks_ms()
        left = -1 if deadline is None else max(0, deadline - now)
        due = deadline
        for timer in timers:
            if left < 0 or timer.due - now < left:
                left = max(0, timer.due - now)
                due = timer.due
        if left and _reporting and reported != _seen:
            reported = _seen
            notify("idle", due, _seen)
        real = real_ms(left) if left > 0 else left
        if 0 < slice_ms < real or real < 0:
            real = slice_ms
        if poll:
            result = poll(real)
            if result:
                break
        else:
            _poller.poll(real)
        if deadline is not None and ticks_ms() >= deadline:
            pump()
            break
    if reported == _seen:  # else the world knows: it has sent more than was seen then
        notify("idle", -1, _seen)
    return result


def charge(virtual_ms):
    """Let processor time pass. Inside a handler no event is taken: the handler holds the chip."""
    if in_handler:
        start = ticks_ms()
        while ticks_ms() - start <= virtual_ms:  # a sleep may end a little early
            utime.sleep_ms(1)
    else:
        wait(virtual_ms)


# --- rules of the chip -------------------------------------------------------------------------
def forbid(what):
    """Raise if a BLE handler is running: on the chip `what` would release the interpreter lock."""
    if in_handler:
        notify("violation", what)
        raise RuntimeError(what + " inside a BLE handler")


def radio(name, active):
    """A shim says that its radio was switched."""
    global entropy
    if active:
        radios.add(name)
        entropy = True
    else:
        radios.discard(name)
    notify("radio", name, bool(active))


def lacks(module):
    """A module __getattr__ that names what the simulator does not have."""

    def missing(name):
        if not name.startswith("__"):
            name = module + "." + name
            raise AttributeError(name + ": the simulator lacks it")
        raise AttributeError(name)

    return missing
