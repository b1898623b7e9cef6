# What a QR code on the label or the screen says, and a link that shows it as one.

import json

# Espressif's page for any device, and the one of its RainMaker.
_LINK = "https://espressif.github.io/esp-jumpstart/qrcode.html?data="
_RAINMAKER_LINK = "https://rainmaker.espressif.com/qrcode.html?data="


def payload(name, pop, transport="ble", security=1, username="wifiprov", password=None):
    """The JSON text, keys in the order in which Espressif's devices print them.

    pop: text, or None for a board without. username goes in with security 2 only. "security" is
    always there: the apps take 2 if it is missing. password: of the access point, if it has one.
    """
    fields = [("ver", "v1"), ("name", name)]
    if security == 2:
        fields.append(("username", username))
    if pop is not None:
        fields.append(("pop", pop))
    fields.append(("transport", transport))
    fields.append(("security", security))
    if password:
        fields.append(("password", password))
    return "{%s}" % ",".join(['"%s":%s' % (key, json.dumps(value)) for key, value in fields])


def link(payload, rainmaker=False):
    """A page that draws the payload; as upstream prints it, not percent-encoded."""
    return (_RAINMAKER_LINK if rainmaker else _LINK) + payload
