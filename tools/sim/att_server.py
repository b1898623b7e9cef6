"""ATT as MicroPython's NimBLE speaks it: a Bumble GATT server whose values are asked of a board.

Limits that NimBLE has and Bumble has not are kept: 12 parts in a long write (then error 0x11), an
ATT error of 256 means no answer at all, and a single write longer than 512 bytes goes through (the
board cuts it). The answer to the central leaves only after the board's handler has returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from bumble import att, gatt
from bumble.device import Device
from bumble.gatt_server import Server

from tools.sim.channel import BoardError, ChannelClosed

_IRQ_GATTS_WRITE = 3
_IRQ_GATTS_READ_REQUEST = 4

FLAG_READ = 0x0002
FLAGS_WRITE = 0x0008 | 0x0004
# NimBLE keeps the parts of a long write in 12 memory blocks.
_MAX_PARTS = 12
_MAX_ATTRIBUTE_LEN = 512


class Board(Protocol):
    """Whoever can run a handler of the board."""

    async def event(self, event: int, *args: Any) -> Any:
        """Run the board's handler for one event and return what it says."""


class NoAnswer(Exception):
    """The central gets nothing, and times out after its 30 seconds."""


class BoardAttribute(att.Attribute):
    """An attribute whose value is asked of the board each time."""

    board: Board
    flags: int

    async def read_value(self, bearer: Any) -> bytes:
        if not self.flags & FLAG_READ:
            raise att.ATT_Error(att.ATT_READ_NOT_PERMITTED_ERROR, self.handle)
        answer = await self.board.event(_IRQ_GATTS_READ_REQUEST, bearer.handle, self.handle)
        # Nothing at all: the handler was interrupted from the console.
        status, value = answer or (att.ATT_UNLIKELY_ERROR_ERROR, "")
        if status & 0xFF:
            raise att.ATT_Error(status & 0xFF, self.handle)
        if status:
            raise NoAnswer
        return bytes.fromhex(value)

    async def write_value(self, bearer: Any, value: bytes) -> None:
        if not self.flags & FLAGS_WRITE:
            raise att.ATT_Error(att.ATT_WRITE_NOT_PERMITTED_ERROR, self.handle)
        await self.board.event(_IRQ_GATTS_WRITE, bearer.handle, self.handle, value.hex())


class BoardCharacteristic(BoardAttribute, gatt.Characteristic):
    """A characteristic value on the board."""


class BoardDescriptor(BoardAttribute, gatt.Descriptor):
    """A descriptor on the board."""


class BoardServer(Server):
    """ATT as NimBLE speaks it where Bumble's server differs."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.first_handle = 1
        self._tasks: set[asyncio.Task[None]] = set()

    def _spawn(self, bearer: Any, request: Any, work: Coroutine[Any, Any, att.ATT_PDU]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(bearer, request, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, bearer: Any, request: Any, work: Coroutine[Any, Any, att.ATT_PDU]
    ) -> None:
        try:
            response = await work
        except att.ATT_Error as error:
            response = att.ATT_Error_Response(
                request_opcode_in_error=request.op_code,
                attribute_handle_in_error=error.att_handle or 0,
                error_code=error.error_code,
            )
        except (NoAnswer, ChannelClosed, BoardError):
            return
        if bearer.handle in self.device.connections:
            self.send_response(bearer, response)

    def next_handle(self) -> int:
        return self.first_handle + len(self.attributes)

    def _attribute(self, handle: int, writing: bool = False) -> att.Attribute:
        attribute = self.get_attribute(handle)
        if attribute is None:
            raise att.ATT_Error(att.ATT_INVALID_HANDLE_ERROR, handle)
        # Bumble's own attributes let everybody write a device name or a declaration.
        if writing and not attribute.permissions & att.Attribute.WRITEABLE:
            raise att.ATT_Error(att.ATT_WRITE_NOT_PERMITTED_ERROR, handle)
        if not writing and not attribute.permissions & att.Attribute.READABLE:
            raise att.ATT_Error(att.ATT_READ_NOT_PERMITTED_ERROR, handle)
        return attribute

    def on_att_read_request(self, bearer: Any, request: Any) -> None:
        async def work() -> att.ATT_PDU:
            value = await self._attribute(request.attribute_handle).read_value(bearer)
            return att.ATT_Read_Response(attribute_value=value[: bearer.att_mtu - 1])

        self._spawn(bearer, request, work())

    def on_att_read_blob_request(self, bearer: Any, request: Any) -> None:
        async def work() -> att.ATT_PDU:
            handle, offset = request.attribute_handle, request.value_offset
            value = await self._attribute(handle).read_value(bearer)
            if offset > len(value):
                raise att.ATT_Error(att.ATT_INVALID_OFFSET_ERROR, handle)
            part = value[offset : offset + bearer.att_mtu - 1]
            return att.ATT_Read_Blob_Response(part_attribute_value=part)

        self._spawn(bearer, request, work())

    def on_att_write_request(self, bearer: Any, request: Any) -> None:
        async def work() -> att.ATT_PDU:
            attribute = self._attribute(request.attribute_handle, writing=True)
            await attribute.write_value(bearer, request.attribute_value)
            return att.ATT_Write_Response()

        self._spawn(bearer, request, work())

    def on_att_prepare_write_request(self, bearer: Any, request: Any) -> None:
        if len(self.prepared_writes.get(bearer, ())) >= _MAX_PARTS:
            raise att.ATT_Error(att.ATT_INSUFFICIENT_RESOURCES_ERROR, request.attribute_handle)
        super().on_att_prepare_write_request(bearer, request)

    def on_att_execute_write_request(self, bearer: Any, request: Any) -> None:
        parts = self.prepared_writes.pop(bearer, [])

        async def work() -> att.ATT_PDU:
            values: dict[int, bytearray] = {}
            for handle, offset, part in parts if request.flags else ():
                value = values.setdefault(handle, bytearray())
                if offset > len(value):
                    raise att.ATT_Error(att.ATT_INVALID_OFFSET_ERROR, handle)
                value[offset : offset + len(part)] = part
                if len(value) > _MAX_ATTRIBUTE_LEN:
                    raise att.ATT_Error(att.ATT_INVALID_ATTRIBUTE_LENGTH_ERROR, handle)
            for handle, value in values.items():
                await self._attribute(handle, writing=True).write_value(bearer, bytes(value))
            return att.ATT_Execute_Write_Response()

        self._spawn(bearer, request, work())
