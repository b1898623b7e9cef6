# On a 32-bit interpreter, which is there to measure memory, the shims come from memory outside the
# heap: what they stand for is C code in a chip's flash. Their classes and names still take heap.

import sys

from micropython import const

_READ_ONLY = const(1)  # PROT_READ
_PRIVATE = const(2)  # MAP_PRIVATE


def mount(path):
    """Mount the ROM image of the shims and import from it, where this interpreter can."""
    if sys.maxsize > 0x7FFFFFFF:
        return
    try:
        import ffi
        import uctypes
        import vfs
    except ImportError:
        return
    libc = ffi.open("libc.so.6")
    fd = libc.func("i", "open", "si")("_shims.romfs", 0)
    length = libc.func("i", "lseek", "iii")(fd, 0, 2)
    where = libc.func("P", "mmap", "Piiiii")(0, length, _READ_ONLY, _PRIVATE, fd, 0)
    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(where, length)), path)
    sys.path.insert(0, path)
