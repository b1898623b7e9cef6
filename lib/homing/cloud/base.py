# What the clouds share while BLE has the memory: they hold what a session brings, and say each
# state once. How they talk to their servers is loaded when the board is online (talk.py).


class Cloud:
    """Base of a cloud, also of one that you write; give its class to homing.run(clouds=…).

    name: a word of a-z 0-9 _ -, at most 15: its namespace in the store, and in serial lines.
    ns: that namespace, with get(key), set(key, value), erase(key), commit().
    identity: the board's, with get("node_id"), get("thing_token") and so on.
    http: https.request or a double of it. A cloud must have bind(); the rest is here.
    """

    name = ""
    caps: dict = {}  # sections for proto-ver, once endpoints() was called

    def __init__(self, ns, identity, report, http=None):
        self.ns = ns
        self.identity = identity
        self._report = report
        self._http = http
        self._said = None

    @property
    def state(self) -> str:
        """One of the words that the class of the cloud lists."""
        return "none"

    def endpoints(self):
        """What the provisioning service offers for this cloud: (name, handler) pairs. A handler is
        bytes → bytes, encrypted, and runs in the BLE interrupt."""
        return ()

    def prepare(self) -> bool:
        """Called by main before advertising, radio on; True if there is something to commit."""
        return False

    def take(self) -> bool:
        """Called by main before a join: move what handlers hold into ns; True if there is any."""
        return False

    def commit(self):
        """Write what prepare() and take() changed; raises OSError when flash refuses."""
        return self.ns.commit()

    async def bind(self):
        """Runs while the board is online and its clock is set, until there is no more to do; may
        be cancelled at will. What it raises is said on serial, and it is begun anew."""
        raise NotImplementedError

    def say(self, state, fault=None, **fields):
        """A serial line "cloud" with this state; not once per retry: a day of outage is one."""
        if self._said != (state, fault):
            self._said = (state, fault)
            if fault:
                fields["fault"] = fault
            self._report(state, **fields)
