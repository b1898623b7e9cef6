"""Messages of the two endpoints by which a RainMaker node gets its user.

`cloud_user_assoc` takes a user id and a secret (esp_rmaker_user_mapping.proto), `ch_resp` signs a
challenge (esp_rmaker_chal_resp.proto); both of espressif/esp-rainmaker.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

USER_ASSOC = "cloud_user_assoc"
CHALLENGE = "ch_resp"

_F = descriptor_pb2.FieldDescriptorProto
_ASSOC_STATUS = {1: "the board did not understand it", 2: "the board cannot take it now"}
_CHALLENGE_STATUS = {
    1: "the board could not sign",
    2: "the board did not understand it",
    3: "challenges are switched off on the board: reset it",
}


class AssociationError(Exception):
    """The board's answer is no success; the text says which."""


@dataclass(frozen=True)
class Answer:
    """A node's answer to a challenge."""

    node_id: str
    signature: bytes


def _messages() -> dict[str, type]:
    file = descriptor_pb2.FileDescriptorProto(
        name="homing_association.proto", package="homing_association", syntax="proto3"
    )

    def message(name: str, **fields: tuple[int, int | str]) -> None:
        made = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            nested = isinstance(kind, str)
            made.field.add(
                name=field,
                number=number,
                type=_F.TYPE_MESSAGE if isinstance(kind, str) else kind,  # type: ignore[arg-type]
                label=_F.LABEL_OPTIONAL,
                type_name=f".homing_association.{kind}" if nested else None,
            )

    number, text, raw = _F.TYPE_UINT32, _F.TYPE_STRING, _F.TYPE_BYTES
    message("CmdSetUserMapping", user_id=(1, text), secret_key=(2, text))
    message("RespSetUserMapping", status=(1, number), node_id=(2, text))
    message(
        "UserMapping",
        msg=(1, number),
        cmd=(10, "CmdSetUserMapping"),
        resp=(11, "RespSetUserMapping"),
    )
    message("CmdChallenge", payload=(1, raw))
    message("RespChallenge", payload=(1, raw), node_id=(2, text))
    message(
        "ChallengeResponse",
        msg=(1, number),
        status=(2, number),
        cmd=(10, "CmdChallenge"),
        resp=(11, "RespChallenge"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)


_MESSAGES = _messages()
_UserMapping = _MESSAGES["homing_association.UserMapping"]
_ChallengeResponse = _MESSAGES["homing_association.ChallengeResponse"]


def mapping_request(user_id: str, secret: str) -> bytes:
    request = _UserMapping()
    request.cmd.user_id = user_id
    request.cmd.secret_key = secret
    return request.SerializeToString()


def node_id_of(reply: bytes) -> str:
    """The id of the node that has taken user and secret. Raises AssociationError."""
    parsed = _UserMapping.FromString(reply)
    status = parsed.resp.status
    if parsed.msg != 1 or status or not parsed.resp.node_id:
        raise AssociationError(_ASSOC_STATUS.get(status, f"status {status}, and no node id"))
    return parsed.resp.node_id


def challenge_request(challenge: str) -> bytes:
    request = _ChallengeResponse()
    request.cmd.payload = challenge.encode()
    return request.SerializeToString()


def answer_of(reply: bytes) -> Answer:
    """Raises AssociationError."""
    parsed = _ChallengeResponse.FromString(reply)
    if parsed.status:
        raise AssociationError(_CHALLENGE_STATUS.get(parsed.status, f"status {parsed.status}"))
    if parsed.msg != 1 or not (parsed.resp.payload and parsed.resp.node_id):
        raise AssociationError("the answer holds no signature")
    return Answer(parsed.resp.node_id, parsed.resp.payload)
