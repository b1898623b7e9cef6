"""Faults on demand: what the local cloud does wrong, how often, and for which requests."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from typing import Any, Literal

Cut = Literal["before", "after"]
Certificate = Literal["host", "authority", "expired"]


@dataclasses.dataclass
class Fault:
    """One fault. Matches by path (shell pattern), method and host; `times` None means for good.

    delay_s waits first, in the loop's time. Then one of: cut ("before" handling the request or
    "after" it), status (an error answer, request not handled), body (these bytes instead of JSON,
    with status 200 unless status is given, request handled). certificate is a fault of the
    connection: it matches by host only.
    """

    path: str = "*"
    method: str = "*"
    host: str = "*"
    times: int | None = None
    delay_s: float = 0.0
    status: int | None = None
    retry_after: str | None = None
    body: bytes | None = None
    cut: Cut | None = None
    certificate: Certificate | None = None
    hits: int = 0
    number: int = dataclasses.field(default=0, compare=False)  # given by Faults.add

    def __post_init__(self) -> None:
        if self.cut not in (None, "before", "after"):
            raise ValueError("cut is 'before' or 'after'")
        if self.certificate not in (None, "host", "authority", "expired"):
            raise ValueError("certificate is 'host', 'authority' or 'expired'")
        if not (self.delay_s or self.status or self.body or self.cut or self.certificate):
            raise ValueError("a fault needs delay_s, status, body, cut or certificate")

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


class Faults:
    """The faults that are switched on; the first that matches is used."""

    def __init__(self) -> None:
        self._list: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, fault: Fault | None = None, /, **fields: Any) -> Fault:
        """Switch one on: `add(path="/v2/*", status=500, times=2)`. Returns it, with its `hits`."""
        fault = fault or Fault(**fields)
        fault.number = next(self._numbers)
        self._list.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        self._list.remove(fault)

    def remove_number(self, number: object) -> None:
        """Switch off the fault with this number, if it is still there."""
        self._list = [fault for fault in self._list if fault.number != number]

    def clear(self) -> None:
        self._list.clear()

    def all(self) -> list[Fault]:
        """Every fault that was not removed, the spent ones too."""
        return list(self._list)

    def active(self) -> list[Fault]:
        return [f for f in self._list if not f.spent]

    def for_request(self, host: str, method: str, path: str) -> Fault | None:
        for fault in self.active():
            if (
                fault.certificate is None
                and fnmatch.fnmatchcase(host, fault.host)
                and fnmatch.fnmatchcase(method, fault.method)
                and fnmatch.fnmatchcase(path, fault.path)
            ):
                fault.hits += 1
                return fault
        return None

    def for_connection(self, host: str) -> Fault | None:
        for fault in self.active():
            if fault.certificate is not None and fnmatch.fnmatchcase(host, fault.host):
                fault.hits += 1
                return fault
        return None
