# ch_resp: the cloud's challenge, signed with the node's key before Wi-Fi exists
# (esp_rmaker_chal_resp.proto). Runs in the BLE handler: RAM only.
#
# One signature is 3 M instructions of native code, an estimated 25 ms, or 26 M of plain
# MicroPython, 210 ms: as long as the handshake of Security 1 takes there, so a board without native
# code signs as well.

from micropython import const

from ..crypto import p256
from ..protocomm.errors import Refused
from ..protocomm.protobuf import BYTES, INT, STR, decode, encode

NAME = "ch_resp"
CAPS = {"rmaker_extra": {"ver": "1.0", "cap": [NAME]}}

_CMD_SIGN = const(0)
_RESP_SIGN = const(1)
_CMD_DISABLE = const(4)
_RESP_DISABLE = const(5)
_DISABLED = const(3)  # status

_PAYLOAD = {
    1: INT,  # msg
    2: INT,  # status
    10: {1: BYTES},  # cmdCR: challenge
    11: {1: BYTES, 2: STR},  # respCR: signature, node_id
    # 12 to 15: cmdGetNodeID, which upstream has not made either, cmdDisable, and their answers.
}

_disabled: list = []  # not empty: until the next boot, whatever service is begun anew


class ChalResp:
    """The handler: bytes → bytes. scalar: the node's private key, 32 bytes, big-endian. signed:
    called with (None, None) when a signature was given."""

    def __init__(self, node_id, scalar, signed):
        self._node_id = node_id
        self._scalar = scalar
        self._signed = signed

    def __call__(self, data):
        fields = decode(_PAYLOAD, data)
        if _disabled:
            return encode(_PAYLOAD, {1: _RESP_SIGN, 2: _DISABLED})
        message = fields.get(1, 0)
        if message == _CMD_DISABLE:
            _disabled.append(True)
            return encode(_PAYLOAD, {1: _RESP_DISABLE})
        challenge = (fields.get(10) or {}).get(1)
        if message != _CMD_SIGN or not challenge:
            raise Refused("ch_resp: no challenge")
        signature = p256.sign(self._scalar, challenge)
        self._signed((None, None))
        return encode(_PAYLOAD, {1: _RESP_SIGN, 11: {1: signature, 2: self._node_id}})
