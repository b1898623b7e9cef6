# A stand-in for aioble 0.6, for the simulator only: just the part that Homing's transport uses.
#
# Real boards get the real aioble. This one was written from its observed behaviour so that a fresh
# clone can run without fetching anything, and keeps the traps: a write cannot be refused, on_read
# is called for every blob, an initial value is lost when the buffer is set, advertise() swallows a
# cancellation and returns None, objects do not survive stop(), registrations do. The same tests
# run on both (tests/host/test_radio_aioble.py, AIOBLE=<directory of the real one>).

from . import core
from .core import config, stop
from .device import Device, DeviceConnection, DeviceDisconnectedError
from .peripheral import advertise
from .server import (
    BufferedCharacteristic,
    Characteristic,
    Descriptor,
    Service,
    register_services,
)

__all__ = (
    "BufferedCharacteristic",
    "Characteristic",
    "Descriptor",
    "Device",
    "DeviceConnection",
    "DeviceDisconnectedError",
    "Service",
    "advertise",
    "config",
    "core",
    "register_services",
    "stop",
)
