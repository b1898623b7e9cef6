# Who this board is: drawn at first boot or written by the host tool, never in code. Lives in a
# namespace of its own, so it survives a Wi-Fi reset.

import os

from micropython import const

# 32 symbols without 0/O and 1/I: 12 of them are 60 bits, since a false board could try proofs
# offline against one recorded handshake.
_SYMBOLS = const("23456789ABCDEFGHJKLMNPQRSTUVWXYZ")
_POP_LEN = const(12)

# Keys that the host tool may write, and how long a value may be.
FIELDS = {"node_id": 64, "pop": 64, "thing_token": 128, "security": 3, "username": 64}
FIELDS.update({"salt": 64, "verifier": 768})  # hexadecimal; bytes in the store
_OF_SECURITY = ("security", "username", "salt", "verifier")


def default_name(mac):
    """The name of a board whose program gives it none; mac: bytes."""
    return "PROV_%02x%02x%02x" % (mac[3], mac[4], mac[5])


def draw_pop():
    """A new proof of possession; draw it only while the radio is on."""
    return "".join([_SYMBOLS[b & 31] for b in os.urandom(_POP_LEN)])


def load(store, fits=None):
    """The identity namespace, with a proof of possession in it (written at first boot), unless it
    has a verifier alone. fits(ns, pop): whether a drawn one will do; None takes any."""
    ns = store.open("identity")
    if not ns.get("pop") and not ns.get("verifier"):
        pop = draw_pop()
        while fits and not fits(ns, pop):
            pop = draw_pop()
        ns.set("pop", pop)
        ns.commit()
    return ns


def update(store, fields):
    """Set identity fields from the host; None erases one.

    Raises ValueError naming the field and the cure.
    """
    for name, value in fields.items():
        limit = FIELDS.get(name)
        if limit is None:
            raise ValueError("no identity field %r; there are: %s" % (name, ", ".join(FIELDS)))
        if value is None:
            continue
        if not isinstance(value, str) or not 0 < len(value.encode()) <= limit:
            raise ValueError("%s must be a text of 1 to %d bytes" % (name, limit))
        for char in value:
            if not " " < char < "\x7f":
                raise ValueError("%s must be printable ASCII without spaces" % name)
    ns = store.open("identity")
    if "node_id" in fields and ns.get("node_key") and fields["node_id"] != ns.get("node_id"):
        raise ValueError("node_id belongs to the node credentials: homing identity credentials")
    if any(key in fields or ns.get(key) for key in _OF_SECURITY):
        from .security_choice import check_fields

        fields = check_fields(ns, fields)
    for name, value in fields.items():
        if value is None:
            ns.erase(name)
        else:
            ns.set(name, value)
    return ns.commit()
