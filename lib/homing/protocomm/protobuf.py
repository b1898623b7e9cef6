# proto3 wire format, driven by tables.
#
# A schema is a dict {field number: kind}. A kind is UINT, INT, BOOL, BYTES or STR, with ONEOF added
# for a member of the message's oneof (it has at most one here); or a schema, for a message, which
# is always such a member; or a tuple of one schema, for a repeated message. A message is a dict
# {field number: value}: names would cost 5 KB of a board's heap, so they are comments.
#
# decode() gives what was there; encode() leaves out what is None or a default. Schemas are not
# cyclic, so they bound the recursion.

from micropython import const

from .errors import Refused

UINT = const(0)  # uint32
INT = const(1)  # int32 and enum
BOOL = const(2)
BYTES = const(3)
STR = const(4)
ONEOF = const(8)

_KIND = const(7)
_VARINT = const(0)
_FIXED64 = const(1)
_LEN = const(2)
_FIXED32 = const(5)

_MAX_NUMBER = const(0x1FFFFFFF)
_SMALL = const(0x3FFFFFFF)  # beyond, an int is an object on a 32-bit board


def _varint(buf, pos, end):
    value = shift = 0
    while pos < end:
        byte = buf[pos]
        pos += 1
        if shift == 63 and byte > 1:
            break
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
    raise Refused("bad varint")


def decode(schema, buf, pos=0, end=0, out=None):
    """Fields that are present, by number. Raises Refused for what is not a protobuf.

    pos, end, out: for members of members, decoded in place.
    """
    if out is None:
        out = {}
        end = len(buf)
        buf = memoryview(buf)
    while pos < end:
        tag, pos = _varint(buf, pos, end)
        number = tag >> 3
        if not 0 < number <= _MAX_NUMBER:
            raise Refused("bad tag")
        wire = tag & 7
        value = 0
        if wire == _VARINT:
            value, pos = _varint(buf, pos, end)
            start = pos
        else:
            if wire == _LEN:
                size, pos = _varint(buf, pos, end)
            elif wire == _FIXED64:
                size = 8
            elif wire == _FIXED32:
                size = 4
            else:
                raise Refused("bad wire type")
            start = pos
            pos += size
            if pos > end:
                raise Refused("truncated")
        kind = schema.get(number)
        scalar = isinstance(kind, int)
        # Known number, other wire type: as unknown as any other (Google's parsers agree).
        if kind is None or wire != (_VARINT if scalar and kind & _KIND < BYTES else _LEN):
            continue
        if not scalar:
            if isinstance(kind, tuple):
                value = {}
                out.setdefault(number, []).append(value)
                kind = kind[0]
            else:
                # A message that comes in pieces is merged, as the format demands.
                value = out.get(number) or {}
                _put_alone(schema, number, value, out)
            decode(kind, buf, start, pos, value)
            continue
        if kind & ONEOF:
            _put_alone(schema, number, None, out)
            kind &= _KIND
        if kind >= BYTES:
            value = bytes(buf[start:pos])
            if kind == STR:
                try:
                    value = value.decode()
                except UnicodeError:
                    raise Refused("bad text") from None
        elif kind == BOOL:
            value = value != 0
        elif value > _SMALL:
            value &= 0xFFFFFFFF
            if kind == INT and value > 0x7FFFFFFF:
                value -= 0x100000000
        out[number] = value
    return out


def _put_alone(schema, number, value, out):
    # The last member of a oneof wins.
    for other, kind in schema.items():
        if isinstance(kind, dict) or (isinstance(kind, int) and kind & ONEOF):
            out.pop(other, None)
    out[number] = value


def _put_varint(out, value):
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_bytes(out, number, value):
    _put_varint(out, number << 3 | _LEN)
    _put_varint(out, len(value))
    out.extend(value)


def encode(schema, values):
    """The message as bytes. A member may be given as a dict or as bytes that are encoded already.

    Raises KeyError for a field that the schema does not have.
    """
    out = bytearray()
    for number in sorted(values):
        value = values[number]
        kind = schema[number]
        if isinstance(kind, tuple):
            for item in value:
                if isinstance(item, dict):
                    item = encode(kind[0], item)
                _put_bytes(out, number, item)
        elif isinstance(kind, dict):
            if isinstance(value, dict):
                value = encode(kind, value)
            if value is not None:
                _put_bytes(out, number, value)
        elif value or (value is not None and kind & ONEOF):
            kind &= _KIND
            if kind >= BYTES:
                _put_bytes(out, number, value.encode() if kind == STR else value)
            else:
                _put_varint(out, number << 3)
                value = int(value)
                # Negative int32: sign-extended to 64 bits, ten bytes; clients accept no other.
                _put_varint(out, value if value >= 0 else value + (1 << 64))
    return bytes(out)
