# Bytes in, bytes out: which endpoint answers, and what is encrypted. No radio needed.

from micropython import const

from .errors import Refused

# Kinds of endpoint (protocomm.c): the handshake, the version text, encrypted requests.
SEC = const(0)
VER = const(1)
REQ = const(2)

_MAX_LEN = const(512)  # an ATT attribute holds no more


class Protocomm:
    """One service: a table of endpoints and at most one session.

    A transport calls it where its requests come in: BLE in the interrupt, the others in main. So
    that never two of them work on one session, or in one handler, whoever opens one keeps the
    other ways in shut until it closes. delivered: called by a transport with the name of the
    endpoint whose answer a client has read. shut: once true, no handshake is served any more.
    """

    def __init__(self, security, delivered=None):
        self.security = security
        self.delivered = delivered
        self.shut = False
        self._names = []
        self._endpoints = {}
        self._session = None
        self._turn = [None]  # empty while a way in has its turn: pop() cannot be interrupted
        self._way = None

    def add(self, name, handler, kind=REQ):
        """Bind a name to handler(bytes) -> bytes. Raises ValueError if the name is taken."""
        if name in self._endpoints:
            raise ValueError("endpoint %r exists" % name)
        self._endpoints[name] = (kind, handler)
        self._names.append(name)

    def remove(self, name):
        """Unbind a name; requests for it are refused from now on."""
        if self._endpoints.pop(name, None):
            self._names.remove(name)

    def names(self):
        """Endpoint names in order of creation, which is the order of the characteristics."""
        return tuple(self._names)

    def open(self, session_id, way=0):
        """Start a session; an older one of the same way in ends, with its keys.

        way: the transport. False if another one has a session.
        """
        if self._way is not way:
            try:
                self._turn.pop()
            except IndexError:
                return False
            self._way = way
        self.security.reset()
        self._session = session_id
        return True

    def close(self, way=None):
        """End the session of this way in, of whichever if None."""
        mine = self._way
        if way is None or way is mine:
            self._session = None
            self.security.reset()
            self._way = None
            if mine is not None:
                self._turn.append(None)

    def handle(self, session_id, name, data, max_len=_MAX_LEN):
        """Answer one request. Raises Refused, and nothing else, when there is no answer.

        session_id: as given to open(); two transports must not use equal ones.
        """
        try:
            endpoint = self._endpoints.get(name)
            if endpoint is None:
                raise Refused("no endpoint")
            kind, handler = endpoint
            if kind == VER:
                return handler(data)
            if session_id is None or session_id != self._session:
                raise Refused("no session")
            if len(data) > max_len:
                raise Refused("request too long")
            if kind == SEC:
                if self.shut:
                    raise Refused("provisioning has stopped")
                return handler(data)
            reply = handler(self.security.decrypt(data))
            # Before encryption, so that client and board stay in step.
            if len(reply) + self.security.overhead > max_len:
                raise Refused("reply too long")
            return self.security.encrypt(reply)
        except Refused:
            raise
        except Exception as e:  # noqa: BLE001 - no fault of a handler may reach the interrupt
            raise Refused(type(e).__name__) from None
