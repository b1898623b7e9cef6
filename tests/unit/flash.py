# A flash chip in RAM that records every block operation, and can be cut off in the middle of one.

import vfs

BLOCK_LEN = 1024
_BLOCKS = 32


class Flash:
    """Block device with the extended interface of vfs. image: bytearray of its contents."""

    def __init__(self, image=None, blocks=_BLOCKS, block_len=BLOCK_LEN):
        self._block_len = block_len
        self._blocks = blocks
        self.image = bytearray(image) if image else bytearray(b"\xff" * (blocks * block_len))
        self.operations = []  # (position, data)

    def readblocks(self, block, buf, offset=0):
        pos = block * self._block_len + offset
        buf[:] = self.image[pos : pos + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        self._put(block * self._block_len + offset, bytes(buf))

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return self._block_len
        if op == 6:
            self._put(arg * self._block_len, b"\xff" * self._block_len)
        return 0

    def _put(self, pos, data):
        end = pos + len(data)
        self.operations.append((pos, data))
        self.image[pos:end] = data


def mounted(function, flash, *args, fat=False):
    """function(*args) with the flash mounted at /flash."""
    vfs.mount((vfs.VfsFat if fat else vfs.VfsLfs2)(flash), "/flash")
    try:
        return function(*args)
    finally:
        vfs.umount("/flash")


def formatted(fat=False, **size):
    if fat:
        size = {"block_len": 512, "blocks": 128}
    flash = Flash(**size)
    (vfs.VfsFat if fat else vfs.VfsLfs2).mkfs(flash)
    flash.operations.clear()
    return flash


def cuts(before, operations):
    """Every image that a power cut during these operations can leave, as (where, image).

    Between two operations, and with a quarter, half and three quarters of the next one done.
    """
    image = bytearray(before)
    for i, (pos, data) in enumerate(operations):
        yield (i, 0), image
        for quarters in (1, 2, 3):
            done = len(data) * quarters // 4
            torn = bytearray(image)
            torn[pos : pos + done] = data[:done]
            yield (i, quarters), torn
        image[pos : pos + len(data)] = data
    yield (len(operations), 0), image
