# Which certificate authorities are trusted for which host, and nothing else for it.
#
# The files in ca/ are generated from a pinned certifi by tools/roots.py, which says why each was
# chosen. A file CERTS_DIR/<host>.der on the board's flash replaces the list for that host: that is
# how a private cloud is trusted. There is no way to turn verification off.

from errno import ENOENT

from .errors import CloudError

CERTS_DIR = "/certs"

HOSTS = {
    "api.thethings.io": ("isrg-x1", "isrg-x2", "amazon-1", "digicert-g2", "usertrust-rsa"),
    "api.rainmaker.espressif.com": ("amazon-1", "amazon-2", "amazon-3", "amazon-4", "starfield-g2"),
}


def _ders(host):
    try:
        with open(CERTS_DIR + "/" + host + ".der", "rb") as f:
            yield f.read()
        return
    except OSError as e:
        if e.errno != ENOENT:
            raise
    here = __file__.rsplit("/", 1)[0] + "/ca/"
    names = HOSTS.get(host, ())
    if host.endswith(".amazonaws.com"):  # where nodes of RainMaker have their MQTT
        names = ("amazon-1", "amazon-3")
    for name in names:
        with open(here + name + ".der", "rb") as f:
            yield f.read()


def context(host):
    """A TLS client context that trusts the roots of this host only.

    Raises CloudError("certificate") when there is none or a file is unreadable.
    """
    import tls

    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]
    trusted = 0
    try:
        for der in _ders(host):
            made.load_verify_locations(der)
            trusted += 1
    except (OSError, ValueError):
        raise CloudError("certificate", "a root for " + host + " cannot be read") from None
    if not trusted:
        raise CloudError("certificate", "no root for " + host)
    return made
