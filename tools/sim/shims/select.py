"""select that waits on the caller's streams and on the world at once."""

import io

import _world
import uselect
from micropython import const

POLLIN = uselect.POLLIN
POLLOUT = uselect.POLLOUT
POLLERR = uselect.POLLERR
POLLHUP = uselect.POLLHUP
_IOCTL_POLL = const(3)


class poll:
    def __init__(self):
        self._real = uselect.poll()
        # Streams written in Python change only through events, so they are looked at after each
        # one; the interpreter's own poll would look every millisecond for nothing.
        self._python = {}
        self._found = ()
        if _world.fd >= 0:
            self._real.register(_world.fd, POLLIN)

    def register(self, obj, eventmask=POLLIN | POLLOUT):
        if isinstance(obj, io.IOBase):
            self._python[id(obj)] = [obj, eventmask]
        else:
            self._real.register(obj, eventmask)

    def modify(self, obj, eventmask):
        if id(obj) in self._python:
            self._python[id(obj)][1] = eventmask
        else:
            self._real.modify(obj, eventmask)

    def unregister(self, obj):
        if id(obj) in self._python:
            del self._python[id(obj)]
        else:
            self._real.unregister(obj)

    def _check(self):
        self._found = ()
        for obj, mask in self._python.values():
            events = obj.ioctl(_IOCTL_POLL, mask)
            if events:
                self._found += ((obj, events),)
        return self._found

    def _wait(self, real_ms):
        return [item for item in self._real.poll(real_ms) if item[0] is not _world.fd]

    def poll(self, timeout=-1, flags=0):
        _world.forbid("select.poll")
        if timeout is None:
            timeout = -1
        ready = _world.wait(int(timeout), self._wait, self._check)
        if self._found:
            ready = list(self._found) + self._wait(0)
        ready = ready or []
        if flags & 1:
            for obj, _events in ready:
                self.modify(obj, 0)
        return ready

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout, flags))


def select(rlist, wlist, xlist, timeout=None):
    poller = poll()
    masks = {}
    for mask, objs in ((POLLIN, rlist), (POLLOUT, wlist), (0, xlist)):
        for obj in objs:
            masks[id(obj)] = (obj, masks.get(id(obj), (obj, 0))[1] | mask)
    for obj, mask in masks.values():
        poller.register(obj, mask)
    ready = poller.poll(-1 if timeout is None else int(timeout * 1000))
    readable = [o for o, ev in ready if ev & ~POLLOUT and o in rlist]
    writable = [o for o, ev in ready if ev & ~POLLIN and o in wlist]
    return readable, writable, [o for o, ev in ready if ev & POLLERR and o in xlist]


__getattr__ = _world.lacks("select")
