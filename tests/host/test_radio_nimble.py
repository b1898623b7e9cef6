"""What NimBLE's attribute table and its errors look like, on the simulated stack and a real one."""

from __future__ import annotations

from typing import Any

from radio_rig import link_to, on_loop, radio, refused

PROGRAM = """
import asyncio, bluetooth, _world
from bluetooth import UUID
def note(*args):
    _world.notify("note", *args)
def errno(work, *args, **kwargs):
    try:
        return work(*args, **kwargs) and 0
    except OSError as error:
        return error.errno
ble = bluetooth.BLE()
off = [errno(ble.config, "mac"), errno(ble.config, "mtu"), errno(ble.gap_advertise, 100_000)]
ble.active(True)
rows = (UUID(1), 0x003A, ((UUID(0x2901), 2),)), (UUID(2), 0x000A)
((first, name, second),) = ble.gatts_register_services(((UUID(0x1234), rows),))
ble.gatts_write(name, b"first")
note("handles", first, name, second)
long = bytes(32)
note("errors", off, errno(ble.gap_advertise, 100_000, adv_data=long),
     errno(ble.gap_advertise, 100_000, resp_data=long), errno(ble.gatts_set_buffer, 999, 20))
ble.gap_advertise(100_000, adv_data=b"\\x02\\x01\\x06", resp_data=b"\\x07\\x09PROV_a")
_world.wait(60_000)
"""
READ_REFUSED, WRITE_REFUSED, NO_SUCH_HANDLE = 0x02, 0x03, 0x01


@on_loop
async def test_table_and_errors() -> None:
    """Handles go on after NimBLE's own, which are registered twice; what is whose is refused."""
    async with radio(PROGRAM, prelude="") as (rig, phone):
        assert await rig.note("handles") == [21, 23, 25]
        off, adv, resp, buffer = await rig.note("errors")
        assert (off, adv, resp, buffer) == ([19, 19, 19], -18, 22, 22)
        link = await link_to(phone)
        table: list[Any] = []
        for service in link.services:
            table.append((service.uuid.to_hex_str(), service.handle, service.end_group_handle))
            for characteristic in service.characteristics:
                table.append((characteristic.uuid.to_hex_str(), characteristic.handle))
                table += [(d.type.to_hex_str(), d.handle) for d in characteristic.descriptors]
        assert table == [
            ("1800", 10, 14),
            ("2A00", 12),
            ("2A01", 14),
            ("1801", 15, 18),
            ("2A05", 17),
            ("2902", 18),
            ("1234", 19, 0xFFFF),
            ("0001", 21),
            ("2902", 22),
            ("2901", 23),
            ("0002", 25),
        ]
        assert await link.read(23) == b"first"
        assert await link.read(18) == await link.read(22) == b"\0\0"
        assert await refused(link.read(17)) == READ_REFUSED
        for handle in (10, 11, 12, 14, 17):
            assert await refused(link.write(handle, b"mine now")) == WRITE_REFUSED
        for handle in (1, 9, 26):
            assert await refused(link.read(handle)) == NO_SUCH_HANDLE
            assert await refused(link.write(handle, b"x")) == NO_SUCH_HANDLE
