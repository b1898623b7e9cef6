"""What runs before boot.py: mounts the flash image, sets the guards, then boots like the chip."""

import builtins
import io
import struct
import sys

import _world
import uos
import utime
import vfs
from micropython import const

_MARK = "\x00\x1esim-repl\x1e\x00"  # tells the supervisor where the REPL begins in the output
_BLOCK_LEN = const(4096)
_BLANK_LEN = const(256)  # written again and again to erase: a chip keeps no blank block on its heap
_EIO = -5
_CUT = b'{"op":"power.cut","a":[]}\n'


class Flash:
    """The image file as a block device, as esp32.Partition is one.

    Nothing here may raise or allocate: littlefs also calls it from finalisers, when the heap is
    locked.
    """

    def __init__(self, image, counters, blocks, cut_at, torn):
        self._file = _world._open(image, "r+b")
        self._ops_file = _world._open(counters, "r+b")
        self._ops = bytearray(16)
        self._ops_file.readinto(self._ops)
        self._programs, self._erases = struct.unpack("<QQ", self._ops)
        self._blocks = blocks
        self._blank = b"\xff" * _BLANK_LEN
        self.cut_at = cut_at
        self.torn = torn

    def readblocks(self, block, buf, offset=0):
        try:
            self._file.seek(block * _BLOCK_LEN + offset)
            self._file.readinto(buf)
        except OSError:
            return _EIO
        return 0

    def writeblocks(self, block, buf, offset=None):
        try:
            if offset is None:
                offset = 0
                self.ioctl(6, block)
            self._programs += 1
            self._count()
            self._file.seek(block * _BLOCK_LEN + offset)
            if self.cut_at and self._programs + self._erases >= self.cut_at:
                self._file.write(buf, int(len(buf) * self.torn))
                self._power_fails()
            self._file.write(buf)
        except OSError:
            return _EIO
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK_LEN
        if op == 6:
            try:
                self._erases += 1
                self._count()
                self._file.seek(arg * _BLOCK_LEN)
                if self.cut_at and self._programs + self._erases >= self.cut_at:
                    self._erase(int(_BLOCK_LEN * self.torn))
                    self._power_fails()
                self._erase(_BLOCK_LEN)
            except OSError:
                return _EIO
        return 0

    def _erase(self, length):
        while length > 0:
            self._file.write(self._blank, min(length, _BLANK_LEN))
            length -= _BLANK_LEN

    def _count(self):
        struct.pack_into("<QQ", self._ops, 0, self._programs, self._erases)
        self._ops_file.seek(0)
        self._ops_file.write(self._ops)

    def _power_fails(self):
        # The world kills this process; until then nothing more may happen.
        _world._pipe.write(_CUT)
        while True:
            try:
                utime.sleep_ms(1000)
            except KeyboardInterrupt:
                pass


def _print_exception(exc):
    # Without the simulator's own frames: the chip has none.
    try:
        text = io.StringIO()
        sys.print_exception(exc, text)
        for line in text.getvalue().split("\n")[:-1]:
            if 'File "/_sim/' not in line and 'File "<stdin>"' not in line:
                _world._print(line)
    except MemoryError:
        sys.print_exception(exc)


def _run(path, scope):
    """Run a script as the chip does; True unless it raised."""
    try:
        with _world._open(path) as file:
            text = file.read()
    except OSError:
        return True
    try:
        exec(compile(text, path, "exec"), scope)
    except SystemExit:
        _world.call("reset", "soft")
    except BaseException as exc:  # noqa: BLE001 - whatever a script raises ends in the REPL
        _print_exception(exc)
        return False
    return True


def _guard():
    plain_print, plain_open, plain_input = builtins.print, builtins.open, builtins.input

    def print(*args, **kwargs):
        if _world.in_handler:
            _world.forbid("print")
        plain_print(*args, **kwargs)

    def open(*args, **kwargs):
        if _world.in_handler:
            _world.forbid("open")
        return plain_open(*args, **kwargs)

    def input(*args):
        _world.forbid("input")
        return plain_input(*args)

    builtins.print, builtins.open, builtins.input = print, open, input


def start(scope):
    """Become the board. `scope` is the namespace of __main__."""
    config = _world.config
    flash = Flash(
        config["image"], config["ops"], config["blocks"], config.get("cut_at"), config.get("torn")
    )

    def set_cut(cut_at, torn):
        flash.cut_at = cut_at
        flash.torn = torn

    _world.on("flash.cut", set_cut)
    shims = uos.getcwd()
    del scope["_simboot"], scope["_rom"], sys.modules["_rom"]
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(flash), "/")
    except OSError as exc:
        # The port's inisetup formats a blank partition and gives up on a damaged one.
        _world._print("The filesystem appears to be corrupted:", exc)
    if "/_sim" not in sys.path:  # else _rom has mounted them
        vfs.mount(vfs.VfsPosix(shims), "/_sim")
    uos.chdir("/")
    sys.path[:] = ["/_sim", "", ".frozen", "/lib"]
    _guard()
    if config.get("charge_ms"):
        import _charge

        _charge.charge(config["charge_ms"])
    try:
        _world.notify("ready")
        # As in ports/esp32/main.c: a failing boot.py skips main.py, and so does the raw REPL.
        if not config.get("repl_only") and _run("boot.py", scope) and not config.get("raw"):
            _run("main.py", scope)
    except KeyboardInterrupt as exc:
        _print_exception(exc)
    sys.stdout.write(_MARK)
