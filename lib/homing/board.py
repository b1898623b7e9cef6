# The chip under us: identity, reset, clock, heap. The only module that imports machine and esp32.

import gc

import machine
from micropython import const

# A TLS session of mbedTLS needs about this much in one piece from the IDF heap; below it the
# handshake fails with ENOMEM (micropython#8647, measured there on a C3).
TLS_BLOCK_LEN = const(45 * 1024)

_CAUSES = (
    ("PWRON_RESET", "power"),
    ("HARD_RESET", "hard"),
    ("WDT_RESET", "watchdog"),
    ("DEEPSLEEP_RESET", "deepsleep"),
    ("SOFT_RESET", "soft"),
)


def mac():
    """Base MAC address, 6 bytes; the station interface uses the same one."""
    return machine.unique_id()


def reset_cause():
    """Why the board started: "power", "hard", "watchdog", "deepsleep", "soft" or "unknown"."""
    cause = machine.reset_cause()
    for name, word in _CAUSES:
        if getattr(machine, name, None) == cause:
            return word
    return "unknown"


def reset():
    machine.reset()


def pin(number):
    """GPIO `number`, made nothing of yet. Raises ValueError if there is none."""
    return machine.Pin(number)


def rtc_memory():
    """The bytes that outlast resets, but no power cut."""
    return bytes(machine.RTC().memory())


def set_rtc_memory(data):
    """Raises ValueError if there are too many for the chip (2,048)."""
    machine.RTC().memory(data)


def set_clock(seconds):
    """Set the clock to `seconds` since 2000-01-01 UTC (the epoch of this port)."""
    from time import gmtime

    t = gmtime(seconds)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))


def idf_heap():
    """(free, largest free block) in bytes of the heap that Wi-Fi, BLE and TLS use."""
    import esp32

    free = largest = 0
    for _total, region_free, region_largest, _low in esp32.idf_heap_info(esp32.HEAP_DATA):
        free += region_free
        largest = max(largest, region_largest)
    return free, largest


def heap():
    """Fields for a report on memory, all in bytes, after a collection."""
    gc.collect()
    free, largest = idf_heap()
    return {"gc_free": gc.mem_free(), "idf_free": free, "idf_largest": largest}
