"""os of the esp32 port: its names only, and a generator that is honest about its entropy."""

import _world
import uos
from ucollections import namedtuple

VfsFat = uos.VfsFat
VfsLfs2 = uos.VfsLfs2
chdir = uos.chdir
getcwd = uos.getcwd
mkdir = uos.mkdir
mount = uos.mount
remove = uos.remove
rename = uos.rename
rmdir = uos.rmdir
sep = uos.sep
stat = uos.stat
statvfs = uos.statvfs
umount = uos.umount
unlink = uos.unlink

_HIDDEN = "_sim"  # where the shims are mounted
_Uname = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))


def uname():
    return _Uname(
        "esp32", "esp32", "1.29.0", "v1.29.0 (simulated)", "ESP32C3 module with ESP32C3 (simulated)"
    )


def ilistdir(path=""):
    _world.forbid("os.ilistdir")
    for entry in uos.ilistdir(path):
        if entry[0] != _HIDDEN:
            yield entry


def listdir(path=""):
    return [entry[0] for entry in ilistdir(path)]


def sync():
    pass


def urandom(n):
    if not _world.entropy:
        # On the chip this returns numbers, but not random ones.
        raise OSError("os.urandom before any radio was active: not random on the ESP32-C3")
    return uos.urandom(n)


def dupterm(stream, index=0):
    return None


__getattr__ = _world.lacks("os")
