# Factory reset, loaded when it is asked for.

from . import log
from .store import Store


def run():
    """Erase what homing.factory_reset() says. Raises OSError."""
    store = Store()
    # The network last: if the power fails amid this, the board is not taken for a fresh one.
    for name in sorted(store.names(), key=lambda name: name == "wifi"):
        if name in ("identity", "credentials"):
            continue
        values = store.open(name)
        if name == "rainmaker" and store.open("identity").get("node_key"):
            from .cloud.rainmaker_report import leave

            leave(values)  # the cloud is to hear of it
        else:
            values.erase_all()
    log.ok("factory_reset")
