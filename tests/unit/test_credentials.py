# Node credentials in the store: what is refused, and that the power may fail at any moment.

from flash import Flash, cuts, formatted, mounted
from support import raises

from homing import credentials, identity
from homing.store import Store

SCALAR = bytes(range(1, 33))
_P256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
_RSA = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"


def der(content, size=300):
    content = content + bytes(size - len(content))
    return b"\x30\x82" + size.to_bytes(2, "big") + content


def ec(node_id="node-1", fill=b"a"):
    key = b"\x30\x2f" + (fill + SCALAR + bytes(47))[:47]
    return {
        "node_id": node_id,
        "host": "a123-ats.iot.us-east-1.amazonaws.com",
        "cert": der(fill + _P256),
        "key": key,
        "scalar": SCALAR,
    }


def rsa(node_id="node-2"):
    fields = ec(node_id)
    del fields["scalar"]
    fields["cert"] = der(_RSA)
    return fields


def _state(path="/flash/nvs"):
    store = Store(path)
    return dict(store.open("identity")._saved), dict(store.open("credentials")._saved)


def _write(fields):
    return credentials.update(Store("/flash/nvs"), fields)


def test_written_and_erased():
    flash = formatted()
    assert mounted(_write, flash, ec())
    who, kept = mounted(_state, flash)
    assert who == {"node_id": "node-1", "node_key": "ec"}
    assert kept == {k: v for k, v in ec().items() if k != "node_id"}
    flash.operations.clear()
    assert not mounted(_write, flash, ec())
    assert flash.operations == []  # nothing changed
    assert mounted(_write, flash, dict(rsa(), port=443))
    who, kept = mounted(_state, flash)
    assert who == {"node_id": "node-2", "node_key": "rsa"} and kept["port"] == 443
    assert "scalar" not in kept
    assert mounted(_write, flash, {})
    assert mounted(_state, flash) == ({}, {})
    assert not mounted(_write, flash, {})


def test_other_identity_stays():
    flash = formatted()

    def before():
        identity.update(Store("/flash/nvs"), {"pop": "abcd1234", "node_id": "node-1"})

    mounted(before, flash)
    mounted(_write, flash, ec())
    assert mounted(_state, flash)[0]["pop"] == "abcd1234"
    mounted(_write, flash, {})
    assert mounted(_state, flash)[0] == {"pop": "abcd1234"}


def _sweep(flash, fields, allowed):
    # Every cut leaves one of the allowed (node_id, node_key, whose credentials or None).
    before = bytes(flash.image)
    flash.operations.clear()
    mounted(_write, flash, fields)
    seen = set()
    for where, torn in cuts(before, list(flash.operations)):
        who, kept = mounted(_state, Flash(torn))
        found = who.get("node_id"), who.get("node_key"), kept.get("cert")
        assert found in allowed, (where, found)
        seen.add(found)
        again = Flash(torn)  # and the tool can be run again
        mounted(_write, again, fields)
        assert mounted(_state, again) == mounted(_state, flash)
    assert seen == set(allowed), "the cuts were no cuts"


def test_power_cuts():
    one, two = ec(), rsa()
    flash = formatted()
    # Until the last commit there is no node, or one that knows that it lacks credentials.
    _sweep(
        flash,
        one,
        [(None, None, None), (None, None, one["cert"]), ("node-1", "ec", one["cert"])],
    )
    _sweep(
        flash,
        two,
        [
            ("node-1", "ec", one["cert"]),
            ("node-1", None, one["cert"]),
            ("node-1", None, two["cert"]),
            ("node-2", "rsa", two["cert"]),
        ],
    )
    _sweep(
        flash,
        {},
        [("node-2", "rsa", two["cert"]), (None, None, two["cert"]), (None, None, None)],
    )


def test_what_was_another_nodes_goes():
    flash = formatted()

    def associated():
        ns = Store("/flash/nvs").open("rainmaker")
        ns.set("user", "u-1")
        ns.commit()

    def user():
        return Store("/flash/nvs").open("rainmaker").get("user")

    mounted(associated, flash)
    mounted(_write, flash, ec())
    assert mounted(user, flash) == "u-1"  # it was nobody's before
    mounted(_write, flash, ec(fill=b"b"))
    assert mounted(user, flash) == "u-1"  # the same node with a new key
    mounted(_write, flash, rsa())
    assert mounted(user, flash) is None


def test_what_is_refused():
    flash = formatted()
    for change, why in (
        ({"node_id": None}, "node_id"),
        ({"node_id": ""}, "node_id"),
        ({"node_id": "a/b"}, "node_id"),
        ({"node_id": "a b"}, "node_id"),
        ({"node_id": "n" * 65}, "node_id"),
        ({"host": None}, "host"),
        ({"host": "https://h"}, "host"),
        ({"host": "h" * 254}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "1"}, "port"),
        ({"cert": None}, "cert"),
        ({"cert": ec()["cert"][:-1]}, "cert"),
        ({"cert": ec()["cert"] + b"\0"}, "cert"),
        ({"cert": "text"}, "cert"),
        ({"cert": der(b"")}, "P-256"),
        ({"cert": der(_P256, 4093)}, "cert"),
        ({"key": b""}, "key"),
        ({"key": b"-----BEGIN"}, "key"),
        ({"scalar": SCALAR[1:]}, "scalar"),
        ({"scalar": bytes(range(2, 34))}, "scalar"),
        ({"cert": der(_RSA)}, "scalar"),
        ({"colour": "red"}, "colour"),
    ):
        error = raises(ValueError, mounted, _write, flash, dict(ec(), **change))
        assert why in str(error), error
        for value in change.values():
            assert not isinstance(value, bytes) or str(value) not in str(error)
    assert mounted(_state, flash) == ({}, {})


def test_node_id_belongs_to_the_credentials():
    flash = formatted()
    mounted(_write, flash, ec())

    def set_identity(node_id):
        return identity.update(Store("/flash/nvs"), {"node_id": node_id})

    for other in ("node-2", None):
        error = raises(ValueError, mounted, set_identity, flash, other)
        assert "homing identity credentials" in str(error)
    assert not mounted(set_identity, flash, "node-1")
