# The two endpoints of our own, as tables. cloud_bind has the shape of Espressif's
# esp_rmaker_claim.proto (PayloadBuf in pieces), cloud_link that of a status with a text.

from micropython import const

from ..protocomm.errors import Refused
from ..protocomm.protobuf import BYTES, INT, ONEOF, STR, UINT, decode, encode

SUCCESS = const(0)
INVALID_PARAM = const(2)
INVALID_STATE = const(3)
NO_MEMORY = const(4)

_CMD_BIND = const(0)
_RESP_BIND = const(1)

_BIND = {
    1: INT,  # msg
    10: {1: UINT, 2: BYTES, 3: UINT},  # cmd_payload: offset, payload, total_len
    11: {1: INT},  # resp_payload: status
}
_LINK_REPLY = {1: INT | ONEOF, 2: STR}  # status, link_id


def bind_request(data):
    """(offset, payload, total length) of a piece. Raises Refused for anything else."""
    fields = decode(_BIND, data)
    piece = fields.get(10)
    if fields.get(1, _CMD_BIND) != _CMD_BIND or piece is None:
        raise Refused("cloud_bind: not a request")
    return piece.get(1, 0), piece.get(2, b""), piece.get(3, 0)


def bind_reply(status):
    """The answer to a piece."""
    return encode(_BIND, {1: _RESP_BIND, 11: {1: status}})


def link_reply(status, link_id):
    """The answer of cloud_link; link_id is None unless status is SUCCESS."""
    return encode(_LINK_REPLY, {1: status, 2: link_id})
