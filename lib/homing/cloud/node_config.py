# The node configuration as ESP RainMaker's cloud wants it: JSON in pieces, which are not all there
# at once. Loaded while it is sent. Order of keys as esp_rmaker_node_config.c has them.

import json

_VERSION = "2020-03-20"
# Of the information about a node, what the cloud knows, in that order.
_INFO = ("name", "fw_version", "type", "subtype", "model", "project_name", "platform", "readme")


def pieces(model):
    """Generates the configuration of a homing.model.Model as bytes, the same at every call."""
    yield (
        '{"node_id":%s,"config_version":"%s","info":{' % (json.dumps(model.node_id), _VERSION)
    ).encode()
    comma = ""
    for key in _INFO:
        if key in model.info:
            yield (comma + _pair(key, model.info[key])).encode()
            comma = ","
    yield b'},"attributes":['
    comma = ""
    for name in sorted(model.info.get("attributes", ())):
        yield (
            comma + "{" + _pair("name", name) + "," + _pair("value", model.info["attributes"][name])
        ).encode() + b"}"
        comma = ","
    for key, service in (("devices", False), ("services", True)):
        yield ('],"%s":[' % key).encode()
        comma = ""
        for group in model.groups:
            if group.service == service:
                yield comma.encode()
                comma = ","
                for piece in _group(group):
                    yield piece
    yield b"]}"


def _group(group):
    text = "{" + _pair("name", group.name) + "," + _pair("type", group.type)
    if group.primary:
        text += "," + _pair("primary", group.primary)
    yield (text + ',"params":[').encode()
    comma = ""
    for param in group.params:
        yield (comma + _param(param)).encode()
        comma = ","
    yield b"]}"


def _param(param):
    text = "{" + _pair("name", param.name)
    if param.type:
        text += "," + _pair("type", param.type)
    text += "," + _pair("data_type", param.data_type) + "," + _pair("properties", param.access)
    if param.bounds:
        names = ("min", "max", "step")[: len(param.bounds)]
        pairs = [_pair(names[at], param.bounds[at]) for at in range(len(names))]
        text += ',"bounds":{' + ",".join(pairs) + "}"
    if param.choices:
        text += "," + _pair("valid_strs", param.choices)
    if param.ui:
        text += "," + _pair("ui_type", param.ui)
    return text + "}"


def _pair(key, value):
    if isinstance(value, tuple):
        value = list(value)
    return '"' + key + '":' + json.dumps(value)
