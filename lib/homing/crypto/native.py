# Native code for the RV32 chips: the one place that decides whether it is used, and the checks
# before each call. A kernel is a module <name>_rv32 with asm functions, made on the host; it takes
# pointers and believes everything, so a wrong length or a read-only buffer corrupts memory.

from uctypes import addressof

# Names of kernels. Decided before the modules that ask are imported: homing/native_trial.py.
allowed = ()


def load(name):
    """The module of that kernel, or None where it is not, cannot be loaded, or must not be used."""
    if name not in allowed:
        return None
    try:
        if name == "ctr":
            from . import ctr_rv32 as module  # pyright: ignore - made by tools/native
        elif name == "x25519":
            from . import x25519_rv32 as module  # pyright: ignore - as above
        elif name == "sha512":
            from . import sha512_rv32 as module  # pyright: ignore - as above
        elif name == "ghash":
            from . import ghash_rv32 as module  # pyright: ignore - as above
        elif name == "mod3072":
            from . import mod3072_rv32 as module  # pyright: ignore - as above
        elif name == "p256":
            from . import p256_rv32 as module  # pyright: ignore - as above
        else:
            return None
        return module
    except (ImportError, ValueError, MemoryError):
        return None  # not shipped; made for another processor or release; no executable memory left


def source(data, length):
    """`data`, or a copy of it at an aligned address, for an asm function that reads it.

    Raises TypeError for what is not bytes, bytearray or a memoryview of them; ValueError for
    another length than `length`.
    """
    _check(data, length)
    return bytearray(data) if addressof(data) & 3 else data


def target(data, length):
    """`data`, for an asm function that writes to it. Raises as source() does, and TypeError for
    what is read-only, ValueError for what does not begin at a multiple of 4."""
    _check(data, length)
    if length:
        data[0] = data[0]  # raises TypeError for bytes, and for a view of them
    if addressof(data) & 3:
        raise ValueError("not aligned")
    return data


def _check(data, length):
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError("bytes wanted")
    if len(data) != length:
        raise ValueError("%d bytes wanted" % length)
