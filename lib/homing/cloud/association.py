# What an association that came over the provisioning session changes in the store of RainMaker:
# see rainmaker.py for the keys. Loaded when there is one.


def keep(ns, user, secret, node_key):
    """user, secret: of cloud_user_assoc; None, None: a signature was given (ch_resp).

    node_key: "ec", "rsa", or None on a board that cannot report. ns is changed, not committed.
    """
    for key in ("token", "req", "op"):
        ns.erase(key)
    if user is None:
        # The cloud maps the new owner, and drops the former one, before this board has Wi-Fi. A
        # factory-reset report that is still due would come after that, and unmap the new owner.
        for key in ("user", "secret", "reset"):
            ns.erase(key)
        ns.set("st", "signed")
        return
    if node_key:
        replaces(ns, user)
    ns.set("st", "pending" if node_key else "unreported")
    ns.set("user", user)
    ns.set("secret", secret)


def replaces(ns, user):
    """Have the report say `reset` if anybody else may be mapped to this node. A `reset` that is due
    stays: it was for a former owner, of whom the cloud has not heard yet."""
    former = ns.get("user")
    if former != user and (former or ns.get("st") in ("confirmed", "signed")):
        ns.set("reset", 1)
