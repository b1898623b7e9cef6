"""How each client finds a board on the air, and its endpoints in the attribute table.

All raise `Hidden` where their app would show nothing, hang or give up.
"""

from __future__ import annotations

from bumble import core
from bumble.gatt import Characteristic
from bumble.gatt_client import CharacteristicProxy, ServiceProxy

from tools.sim.phone import Link, Sighting

_USER_DESCRIPTION = core.UUID.from_16_bits(0x2901)
_OF_THE_SYSTEM = {core.UUID.from_16_bits(0x1800), core.UUID.from_16_bits(0x1801)}
_UUIDS = core.AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
_RECORD = core.AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA
_CUSTOMER = 1
# The iOS library looks for these in a name, in this order, and takes the last name with each.
_ROLES = ("scan", "session", "config", "ver")
_NEEDED = ("prov-session", "prov-config", "proto-ver")


class Hidden(AssertionError):
    """This client cannot use such a board."""


def listed_by_home(sighting: Sighting) -> None:
    """The list of the Home app: `Nov` after the company id, and the public customer id."""
    record = sighting.data.get(_RECORD, raw=True)
    if not isinstance(record, bytes) or record[2:5] != b"Nov" or len(record[2:]) < 10:
        raise Hidden(f"Home lists only boards with its record: {record!r}")
    if int.from_bytes(record[6:8], "big") != _CUSTOMER:
        raise Hidden(f"a board of another customer: {record.hex()}")


def uuids(sighting: Sighting) -> list[core.UUID]:
    """Service UUIDs in the advertisement itself."""
    raw = core.AdvertisingData.from_bytes(sighting.adv).get(_UUIDS, raw=True)
    raw = raw if isinstance(raw, bytes) else b""
    return [core.UUID.from_bytes(raw[i : i + 16]) for i in range(0, len(raw), 16)]


async def _description(link: Link, characteristic: CharacteristicProxy[bytes]) -> str:
    found = [d for d in characteristic.descriptors if d.type == _USER_DESCRIPTION]
    if len(found) != 1:
        raise Hidden(f"{characteristic.uuid} has {len(found)} user descriptions")
    return (await link.read(found[0].handle)).decode()


def _of_uuid(link: Link, uuid: core.UUID) -> ServiceProxy:
    for service in link.services:
        if service.uuid == uuid:
            return service
    raise Hidden(f"no service {uuid}, which was advertised")


async def android(link: Link, sighting: Sighting) -> dict[str, int]:
    """The first UUID of the scan record; every 0x2901 in turn, or the loop never ends."""
    service = _of_uuid(link, uuids(sighting)[0])
    paths = {await _description(link, c): c.handle for c in service.characteristics}
    if "proto-ver" not in paths:
        raise Hidden("the Android library ends with a null pointer without proto-ver")
    return paths


async def esp_prov(link: Link, sighting: Sighting) -> dict[str, int]:
    """Exactly one UUID advertised, else it would guess; names in lower case."""
    (uuid,) = uuids(sighting)
    service = _of_uuid(link, uuid)
    paths = {(await _description(link, c)).lower(): c.handle for c in service.characteristics}
    if not all(name in paths for name in _NEEDED):
        raise Hidden(f"not all of {_NEEDED} in {sorted(paths)}")
    return paths


async def ios(link: Link, _sighting: Sighting) -> dict[str, int]:
    """The first service that is not the system's, one descriptor each, roles by substring."""
    service = next(s for s in link.services if s.uuid not in _OF_THE_SYSTEM)
    both = Characteristic.Properties.READ | Characteristic.Properties.WRITE
    named: list[tuple[str, int]] = []
    for characteristic in service.characteristics:
        if characteristic.properties & both != both:
            raise Hidden(f"{characteristic.uuid} is not for reading and writing")
        if len(characteristic.descriptors) != 1:
            raise Hidden(f"{characteristic.uuid} has {len(characteristic.descriptors)} descriptors")
        named.append((await _description(link, characteristic), characteristic.handle))
    paths = dict(named)
    standard = {"scan": "prov-scan", "session": "prov-session", "config": "prov-config"}
    for name, handle in named:
        for role in _ROLES:
            if role in name:
                paths[standard.get(role, "proto-ver")] = handle
                break
    if not any("session" in name for name, _handle in named):
        raise Hidden("the iOS library waits for a name with session in it")
    return paths
