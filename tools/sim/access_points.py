"""A phone at the access point of each simulated board, for the browser of whoever runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from .board import SimBoard
from .soft_ap import NoSuchNetwork, SoftApPhone, WrongPassword


class AccessPoints:
    """Joins each board's access point while it is on; news() says where it is to be found."""

    def __init__(self, boards: Sequence[SimBoard]) -> None:
        self._phones: dict[SimBoard, SoftApPhone | None] = dict.fromkeys(boards)

    def news(self) -> Iterator[str]:
        """A line for each access point that has come up."""
        for board, phone in self._phones.items():
            ap = board.soft_ap
            if phone is not None and phone.joined or not ap.on or not ap.serves(80):
                continue
            with contextlib.suppress(NoSuchNetwork, WrongPassword):  # switched off meanwhile
                if phone is not None and (phone.ssid, phone.password) == (ap.ssid, ap.password):
                    phone.rejoin()
                    continue
                if phone is not None:
                    phone.close()
                self._phones[board] = phone = ap.join(ap.ssid, ap.password)
                host, port = phone.address(80)
                rule = f"MAP 192.168.4.1:80 {host}:{port}"
                yield f"{board.name}: its 192.168.4.1:80 is {host}:{port} here; in a browser:"
                # The board answers under its own name only.
                yield f"  chromium --host-resolver-rules='{rule}' http://192.168.4.1/"
