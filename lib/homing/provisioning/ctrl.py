# prov-ctrl: start over after a failure, or with other credentials (network_ctrl.proto).

from micropython import const

from ..protocomm.errors import Refused
from ..protocomm.protobuf import INT, decode, encode
from .config import APPLYING, FAILED, STARTED

# Values of msg. The member of a message is field 10 + msg, and a reply's msg the request's + 1.
_WIFI_RESET = const(1)
_WIFI_REPROV = const(3)

# NetworkCtrlPayload: msg, status, members (all of them empty).
PAYLOAD = {1: INT, 2: INT, 11: {}, 12: {}, 13: {}, 14: {}}

# Status (constants.proto).
_SUCCESS = const(0)
_INTERNAL_ERROR = const(5)


class CtrlEndpoint:
    """Handler of prov-ctrl. post gets ("reset",) or ("reprov",).

    auto_stop: whether the service ends by itself after success; then reprov is refused.
    """

    def __init__(self, config, post, auto_stop=True):
        self._config = config
        self._post = post
        self._auto_stop = auto_stop

    def __call__(self, data):
        msg = decode(PAYLOAD, data).get(1, 0)
        if msg == _WIFI_RESET:
            status = self._reset()
        elif msg == _WIFI_REPROV:
            status = self._reprov()
        else:
            raise Refused("unknown message")
        return encode(PAYLOAD, {1: msg + 1, 2: status, 11 + msg: b""})

    def _reset(self):
        state = self._config.state
        if state == FAILED:
            self._post(("reset",))  # refused when main is behind: nothing changes
            self._config.forget()
            return _SUCCESS
        # Nothing to undo is fine: clients that reset "to be sure" go on (1.2.1 and later).
        return _SUCCESS if state == STARTED else _INTERNAL_ERROR

    def _reprov(self):
        # During a join the outcome of that one would be taken for the next one's.
        if self._auto_stop or self._config.state == APPLYING:
            return _INTERNAL_ERROR
        self._post(("reprov",))
        self._config.forget()
        return _SUCCESS
