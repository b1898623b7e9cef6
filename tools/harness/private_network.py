"""Tests in a network namespace of their own, where 192.168.4.1 is there to be bound.

Some clients know no other address than that of ESP-IDF's access point. A test that is marked
`private_network` runs in another pytest process, in a namespace whose only interface is lo with
that address on it; nothing outside is touched, and nobody needs to be root.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from tools.sim.net import SOFT_AP_ADDRESS

_INSIDE = "HOMING_PRIVATE_NETWORK"
_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916  # linux/sockios.h
_IFF_UP = 1


def command() -> list[str] | None:
    """What runs a command in a new network namespace; None where that cannot be done."""
    if not shutil.which("unshare"):
        return None
    # As root a namespace is one's own to make; anybody else becomes root of a user namespace.
    tried = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    done = subprocess.run([*tried, "true"], capture_output=True)
    return tried if done.returncode == 0 else None


def set_up() -> None:
    """In the new namespace: lo is on, and has the address of a board's access point too."""
    import fcntl  # not on every host

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(SOFT_AP_ADDRESS))
        fcntl.ioctl(sock, _SIOCSIFADDR, struct.pack("16s16s", b"lo:1", address))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "private_network: runs in a network namespace that has 192.168.4.1"
    )
    if os.environ.get(_INSIDE):
        set_up()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put in the place of each marked test one that has it run by a pytest in a namespace."""
    if os.environ.get(_INSIDE):
        return
    for i, item in enumerate(items):
        if item.get_closest_marker("private_network") is not None:
            items[i] = other = pytest.Function.from_parent(
                item.parent, name=item.name, callobj=lambda item=item: _elsewhere(item)
            )
            other.own_markers.extend(item.own_markers)


def _elsewhere(item: pytest.Item) -> None:
    run = command()
    if run is None:
        pytest.skip("needs a network namespace of its own (unshare -n)")
    inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", item.nodeid]
    if item.config.getoption("--soak"):
        inner.append("--soak")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [*run, *inner],
        cwd=item.config.rootpath,
        env=environment | {_INSIDE: "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode or "1 passed" not in done.stdout:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
