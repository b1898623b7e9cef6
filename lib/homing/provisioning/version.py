# proto-ver: what this board speaks, as JSON in clear.

import json

from micropython import const

_VERSION = "netprov-v1.2"
_COMPACT = const((",", ":"))


def version_json(security, extra=None, scan=True):
    """The text as bytes. extra: {section: value} of others; they come before "prov". scan: whether
    there is a list of networks; without it apps ask for a name."""
    sections = []
    # Put together by hand: a dict here keeps no order.
    for name, value in (extra or {}).items():
        sections.append("%s:%s" % (json.dumps(name), json.dumps(value, separators=_COMPACT)))
    cap = list(security.caps) + (["wifi_prov", "wifi_scan"] if scan else ["wifi_prov"])
    cap = json.dumps(cap, separators=_COMPACT)
    sections.append(
        '"prov":{"ver":"%s","sec_ver":%d,"sec_patch_ver":%d,"cap":%s}'
        % (_VERSION, security.sec_ver, security.patch, cap)
    )
    return ("{%s}" % ",".join(sections)).encode()
