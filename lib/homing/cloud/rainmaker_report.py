# The node's half of the mapping at RainMaker, for the MQTT side: see rainmaker.py for what is
# stored. Loaded while there is something to report.

import json

_FACTORY_USER = "esp-rmaker"
_FACTORY_SECRET = "failed"  # noqa: S105 - what Espressif's nodes say, no secret
_KEYS = ("secret", "reset", "req", "op", "token")


def message(ns, node_id):
    """The message, JSON in bytes."""
    fields = {"node_id": node_id, "user_id": ns.get("user"), "secret_key": ns.get("secret")}
    if ns.get("reset"):
        fields["reset"] = True
    return json.dumps(fields).encode()


def sent(cloud):
    """It is on its way. Raises OSError."""
    cloud.ns.set("st", "sent")
    cloud.ns.commit()
    cloud.say("sent")


def acknowledged(cloud):
    """The cloud has it: the secret is of no more use. Raises OSError."""
    ns = cloud.ns
    left = ns.get("user") == _FACTORY_USER
    for key in _KEYS:
        ns.erase(key)
    ns.set("st", "removed" if left else "confirmed")
    ns.commit()
    cloud.say(ns.get("st"))


def leave(ns):
    """In place of the erasure of a factory reset: what the cloud must hear of it stays, nothing
    else. In one commit, so that a power cut leaves the mapping or the report. Raises OSError."""
    mapped = ns.get("st") in ("pending", "sent", "confirmed", "signed")
    if not mapped:
        ns.erase_all()
        return
    for key in _KEYS:
        ns.erase(key)
    ns.set("user", _FACTORY_USER)
    ns.set("secret", _FACTORY_SECRET)
    ns.set("reset", 1)
    ns.set("st", "pending")
    ns.commit()
