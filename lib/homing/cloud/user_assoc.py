# cloud_user_assoc: an app leaves a user's id and a secret, for the node to report over MQTT
# (esp_rmaker_user_mapping.proto). Runs in the BLE handler: RAM only.

from micropython import const

from ..protocomm.protobuf import INT, STR, decode, encode

_TEXT_LEN_MAX = const(128)
_INVALID_PARAM = const(1)

_PAYLOAD = {
    1: INT,  # msg
    10: {1: STR, 2: STR},  # cmd_set_user_mapping: UserID, SecretKey
    11: {1: INT, 2: STR},  # resp_set_user_mapping: Status, NodeId
}


class UserAssoc:
    """The handler: bytes → bytes. hold: called with (user id, secret); the last one wins."""

    def __init__(self, node_id, hold):
        self._node_id = node_id
        self._hold = hold

    def __call__(self, data):
        fields = decode(_PAYLOAD, data)
        if fields.get(1, 0):
            return b""  # as upstream
        command = fields.get(10) or {}
        user, secret = command.get(1, ""), command.get(2, "")
        if not (_usable(user) and _usable(secret)):
            return _reply({1: _INVALID_PARAM})
        self._hold((user, secret))
        return _reply({2: self._node_id})


def _reply(fields):
    return encode(_PAYLOAD, {1: 1, 11: fields})


def _usable(text):
    # It goes into JSON and into a file.
    return 0 < len(text) <= _TEXT_LEN_MAX and all(0x20 < byte < 0x7F for byte in text.encode())
