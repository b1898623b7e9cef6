"""Run as a script: becomes the MicroPython interpreter. argv[1] is where its package lies, or "--",
and then the command of another interpreter follows.

Started with -I -S, so that it is up in 15 ms.
"""

import sys


def die_with_parent() -> None:
    """A board must not outlive its world, however that ends, even in a busy loop."""
    if sys.platform != "linux":
        return  # there the board notices when it next looks at its channel
    try:
        import ctypes
    except ImportError:
        return
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


if __name__ == "__main__":
    die_with_parent()
    if sys.argv[1] == "--":
        import os

        os.execvp(sys.argv[2], sys.argv[2:])
    sys.path.append(sys.argv.pop(1))
    from micropython import run_main  # type: ignore[attr-defined]

    sys.exit(run_main(sys.argv))
