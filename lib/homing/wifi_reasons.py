# What WLAN.status() says when a join failed, and what a phone is told about it.
#
# Numbers: wifi_err_reason_t in ESP-IDF's esp_wifi_types_generic.h.

from micropython import const

from .provisioning.reasons import AUTH_ERROR, NETWORK_NOT_FOUND

# Reasons that only a network which heard us and disliked the key gives.
_SURE_AUTH = const((14, 15, 204))  # MIC failure, 4-way handshake timeout, handshake timeout

# 2: authentication expired; a wrong key on some access points, a transmitter that is not heard on
# others (arduino-esp32#6767). 202: authentication failed, but MicroPython also reports 205
# (connection failed) as 202, see network_wlan.c. So neither is proof of a wrong key.
MAYBE_UNHEARD = (2, 202, 205)

# 1: the driver would not try; 1001: joined, but no address. No fault of the password either.
_NOT_FOUND = (1, 201, 210, 211, 212, 1001)

_TEXT = {
    1: "the Wi-Fi driver refused",
    2: "authentication expired",
    14: "MIC failure",
    15: "4-way handshake timeout (wrong password?)",
    200: "the access point went away",
    201: "no such network on 2.4 GHz (a 5 GHz network?)",
    202: "authentication failed (wrong password?)",
    203: "association refused",
    204: "handshake timeout (wrong password?)",
    205: "connection failed",
    210: "the network's security is not supported",
    211: "the network's authentication mode is too weak",
    212: "the network's signal is too weak",
    1001: "no address from the network (DHCP)",
}


def classify(statuses):
    """The phone's reason for a list of failed attempts, oldest first.

    One attempt proves little: any sure sign of a wrong key counts, else the last one decides.
    """
    for status in statuses:
        if status in _SURE_AUTH:
            return AUTH_ERROR
    return NETWORK_NOT_FOUND if statuses[-1] in _NOT_FOUND else AUTH_ERROR


def text(status):
    """A sentence for people about a status number."""
    return _TEXT.get(status) or "reason %d" % status
