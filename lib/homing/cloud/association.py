# How a user comes to a node over the provisioning session, and what that changes in the store: see
# rainmaker.py for the keys. Loaded by boards that a user can come to in this way.
#
# Functions have names that are in use anyway: each new one costs boards without credentials, too.


def begin(node_key):
    """Names of the native code that a node with that kind of key wants."""
    return ("p256",) if node_key == "ec" else ()


def endpoints(cloud):
    """ch_resp for a node that has an EC key whose scalar may be used, otherwise cloud_user_assoc.
    Never both: clients would take the former."""
    node_id = cloud.identity.get("node_id")
    if cloud.identity.get("node_key") == "ec":
        scalar = cloud.credentials().open("credentials").get("scalar")
        if scalar:
            from .chal_resp import CAPS, NAME, ChalResp

            cloud.caps = CAPS
            return ((NAME, ChalResp(node_id, scalar, cloud._assoc.append)),)
    from .user_assoc import UserAssoc

    return (("cloud_user_assoc", UserAssoc(node_id, cloud._assoc.append)),)


def take(cloud, user, secret):
    """user, secret: of cloud_user_assoc; None, None: a signature was given (ch_resp). The
    namespace of the cloud is changed, not committed."""
    ns = cloud.ns
    for key in ("token", "req", "op"):
        ns.erase(key)
    reports = cloud.identity.get("node_key")
    if reports:
        reset(cloud, user)
    if user is None:
        # The cloud maps the new owner, and drops the former one, before this board has Wi-Fi. A
        # factory-reset report that is still due would come after that, and unmap the new owner.
        for key in ("user", "secret", "reset"):
            ns.erase(key)
        ns.set("st", "signed")
        return
    ns.set("st", "pending" if reports else "unreported")
    ns.set("user", user)
    ns.set("secret", secret)


def reset(cloud, user):
    """Have the report say `reset` if anybody else may be mapped to this node. A `reset` that is due
    stays: it was for a former owner, of whom the cloud has not heard yet. What apps have handed
    over is forgotten: they do so again, for the user who is mapped then. Raises OSError."""
    ns = cloud.ns
    former = ns.get("user")
    if former != user and (former or ns.get("st") in ("confirmed", "signed")):
        ns.set("reset", 1)
    cloud.credentials().open("tokens").erase_all()
