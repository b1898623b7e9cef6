from support import raises, unhex

from homing.protocomm.errors import Refused
from homing.provisioning.config import APPLYING, CONNECTED, FAILED, STARTED, ConfigEndpoint
from homing.provisioning.ctrl import CtrlEndpoint

_OK = {b"\x08\x01": unhex("08026200"), b"\x08\x03": unhex("08047200")}
_NO = {b"\x08\x01": unhex("080210056200"), b"\x08\x03": unhex("080410057200")}
_RESET = b"\x08\x01"
_REPROV = b"\x08\x03"


def _ctrl(state, auto_stop):
    asked = []
    config = ConfigEndpoint(asked.append)
    if state != STARTED:
        config(unhex("080262030a0141"))
        config(b"\x08\x04")
    if state == FAILED:
        config.failed(1, 0)
    elif state == CONNECTED:
        config.connected(1, "10.0.0.1", 3, b"A", b"", 1)
    assert config.state == state
    asked.clear()
    return CtrlEndpoint(config, asked.append, auto_stop), config, asked


def test_reset():
    for auto_stop in (True, False):
        for state, reply, intents in (
            (STARTED, _OK, []),
            (APPLYING, _NO, []),
            (FAILED, _OK, [("reset",)]),
            (CONNECTED, _NO, []),
        ):
            ctrl, config, asked = _ctrl(state, auto_stop)
            assert ctrl(_RESET) == reply[_RESET]
            assert asked == intents
            assert config.state == (STARTED if intents else state)


def test_reset_twice():
    ctrl, _, asked = _ctrl(FAILED, True)
    assert ctrl(_RESET) == ctrl(_RESET) == _OK[_RESET]
    assert asked == [("reset",)]


def test_reprov():
    ctrl, config, asked = _ctrl(APPLYING, False)  # a join is under way
    assert ctrl(_REPROV) == _NO[_REPROV]
    assert not asked and config.state == APPLYING
    for state in (STARTED, FAILED, CONNECTED):
        ctrl, config, asked = _ctrl(state, False)
        assert ctrl(_REPROV) == _OK[_REPROV]
        assert asked == [("reprov",)] and config.state == STARTED
        ctrl, config, asked = _ctrl(state, True)
        assert ctrl(_REPROV) == _NO[_REPROV]
        assert not asked and config.state == state


def test_member_may_be_there():
    ctrl, _, _ = _ctrl(STARTED, False)
    assert ctrl(unhex("08015a00")) == _OK[_RESET]
    assert ctrl(unhex("08036a00")) == _OK[_REPROV]


def test_full_queue_changes_nothing():
    def full(_item):
        raise Refused("busy")

    for request in (_RESET, _REPROV):
        ctrl, config, _ = _ctrl(FAILED, False)
        ctrl._post = full
        raises(Refused, ctrl, request)
        assert config.state == FAILED


def test_unknown_messages_are_refused():
    ctrl, _, _ = _ctrl(STARTED, False)
    for data in (b"", b"\x08\x00", b"\x08\x02", b"\x08\x04", b"\x08\x05", b"\x08\x07", b"\x08"):
        raises(Refused, ctrl, data)
