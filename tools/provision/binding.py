"""Messages of Homing's own endpoints `cloud_bind` and `cloud_link` (docs/homing.proto)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FRAGMENT_LEN = 200
_F = descriptor_pb2.FieldDescriptorProto

_STATUS = {
    1: "the board failed",
    2: "the board did not understand it",
    3: "the board takes no tokens without a proof of possession",
    4: "the board has no memory for it",
}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="homing.proto", package="homing", syntax="proto3"
    )

    def message(name: str, *fields: tuple[str, int, int, str]) -> None:
        m = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            m.field.add(
                name=field,
                number=number,
                type=kind,
                label=_F.LABEL_OPTIONAL,
                type_name=type_name or None or None,
            )

    message(
        "PayloadBuf",
        ("offset", 1, _F.TYPE_UINT32, ""),
        ("payload", 2, _F.TYPE_BYTES, ""),
        ("total_len", 3, _F.TYPE_UINT32, ""),
    )
    message(
        "RespPayload",
        ("status", 1, _F.TYPE_UINT32, ""),
        ("buf", 2, _F.TYPE_MESSAGE, ".homing.PayloadBuf"),
    )
    message(
        "CloudBindPayload",
        ("msg", 1, _F.TYPE_UINT32, ""),
        ("cmd_payload", 10, _F.TYPE_MESSAGE, ".homing.PayloadBuf"),
        ("resp_payload", 11, _F.TYPE_MESSAGE, ".homing.RespPayload"),
    )
    message("CloudLinkResp", ("status", 1, _F.TYPE_UINT32, ""), ("link_id", 2, _F.TYPE_STRING, ""))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles(["homing.proto"], pool)


_MESSAGES = _build()
CloudBindPayload = _MESSAGES["homing.CloudBindPayload"]
CloudLinkResp = _MESSAGES["homing.CloudLinkResp"]

LINK_REQUEST = b"\x08\x00"  # any non-empty body; the board does not look at it


class BindingError(Exception):
    """The board did not take what it needs for its cloud."""


def fragments(
    secret_key: str, access_token: str, operation: str, user_id: str = ""
) -> Iterator[bytes]:
    """The encoded requests that carry one bind, in order."""
    fields = {"secret_key": secret_key, "access_token": access_token, "operation": operation}
    if user_id:
        fields["user_id"] = user_id
    body = json.dumps(fields).encode()
    for offset in range(0, len(body), FRAGMENT_LEN):
        request = CloudBindPayload()
        request.cmd_payload.offset = offset
        request.cmd_payload.payload = body[offset : offset + FRAGMENT_LEN]
        request.cmd_payload.total_len = len(body)
        yield request.SerializeToString()


def check(reply: bytes) -> None:
    """Raise BindingError unless the board has taken the fragment."""
    parsed = CloudBindPayload()
    parsed.ParseFromString(reply)
    status = parsed.resp_payload.status
    if status:
        raise BindingError(_STATUS.get(status, f"status {status}"))


def read_link_id(reply: bytes) -> str:
    parsed = CloudLinkResp()
    parsed.ParseFromString(reply)
    if parsed.status or not parsed.link_id:
        raise BindingError("the board has no link id: it has no thing token")
    return parsed.link_id
