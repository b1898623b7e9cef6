# What a board says on the air: name, manufacturer record, payloads, endpoint ids. No radio in here.

from micropython import const

# A payload has 31 bytes; aioble and some phones stop at 30, so does the length check.
_AD_ROOM = const(30)

_FIRST_APP_ID = const(0xFF54)
# Characteristic ids of network provisioning (ESP-IDF, network_provisioning/src/scheme_ble.c).
_IDS = {
    "prov-ctrl": 0xFF4F,
    "prov-scan": 0xFF50,
    "prov-session": 0xFF51,
    "prov-config": 0xFF52,
    "proto-ver": 0xFF53,
}
ESPRESSIFS = list(_IDS)
# iOS finds Espressif's endpoints by these parts of a name, and the last match wins.
_RESERVED = const(("scan", "session", "config", "ver"))


def manufacturer_record(customer=1, device_type=0x0080, subtype=1):
    """Return the manufacturer data by which the RainMaker Home app finds a device.

    customer: 1 is public RainMaker. device_type: 0x0080 switch, 0x0005 light.
    """
    return b"\xe5\x02Nova" + bytes(
        (customer >> 8, customer & 0xFF, device_type >> 8, device_type & 0xFF, subtype, 0)
    )


def _record(manufacturer):
    # True: the switch; None, False or empty: no record; bytes: as given.
    if manufacturer is True:
        return manufacturer_record()
    return bytes(manufacturer or b"")


def check_name(name, manufacturer=True):
    """Raise ValueError, with the reason, unless name fits into the scan response.

    At most 14 bytes of UTF-8 beside the 14-byte manufacturer record, 28 without it.
    """
    record = _record(manufacturer)
    limit = _AD_ROOM - 2 - (len(record) + 2 if record else 0)
    if limit < 1:
        raise ValueError("a manufacturer record of %d bytes leaves no room" % len(record))
    size = len(name.encode())
    if not 1 <= size <= limit:
        raise ValueError(
            "the BLE name %r has %d bytes; %s1 to %d fit into the scan response"
            % (name, size, "beside the manufacturer record " if record else "", limit)
        )


def endpoint_ids(names):
    """Return [(name, 16-bit id)] in order; raise ValueError for a name that cannot be offered."""
    pairs = []
    seen = set()
    app_id = _FIRST_APP_ID
    for name in names:
        if not name or name in seen:
            raise ValueError("endpoint name %r is empty or used twice" % name)
        seen.add(name)
        if name in _IDS:
            pairs.append((name, _IDS[name]))
            continue
        lower = name.lower()
        for part in _RESERVED:
            if part in lower:
                raise ValueError(
                    "endpoint name %r contains %r: Espressif's iOS library would take it for its"
                    " own endpoint; choose another name" % (name, part)
                )
        pairs.append((name, app_id))
        app_id += 1
    return pairs


def adv_payload(uuid):
    """Return the advertising payload: flags and the complete list of one 128-bit UUID."""
    return b"\x02\x01\x06\x11\x07" + bytes(uuid)


def resp_payload(name, manufacturer=True):
    """Return the scan response: complete local name, then the manufacturer record if any."""
    check_name(name, manufacturer)
    name = name.encode()
    record = _record(manufacturer)
    payload = bytes((len(name) + 1, 0x09)) + name
    if record:
        payload += bytes((len(record) + 1, 0xFF)) + record
    return payload
