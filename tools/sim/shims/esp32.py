"""esp32: the heap of ESP-IDF as a model, and the partition that is running."""

import _world
from micropython import const

HEAP_DATA = 4
HEAP_EXEC = 1
WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True

# A model, not measured on a chip: what is left of the IDF heap of a C3 after MicroPython has
# started, and what the radios take of it while they are on.
_TOTAL_LEN = const(210 * 1024)
_FREE_LEN = const(168 * 1024)
_LARGEST_LEN = const(112 * 1024)
_WIFI_LEN = const(46 * 1024)
_BLE_LEN = const(58 * 1024)
_lowest = _FREE_LEN


def idf_heap_info(capabilities):
    """[(total, free, largest free block, lowest free so far)], modelled."""
    global _lowest
    if capabilities & HEAP_EXEC:
        return []
    free, largest = _FREE_LEN, _LARGEST_LEN
    if "wifi" in _world.radios:
        free -= _WIFI_LEN
        largest -= _WIFI_LEN // 2
    if "ble" in _world.radios:
        free -= _BLE_LEN
        largest -= _BLE_LEN
    given = _world.call("esp32.heap")  # a test may want a board that is short of memory
    if given:
        free, largest = given
    _lowest = min(_lowest, free)
    return [(_TOTAL_LEN, free, largest, _lowest)]


def mcu_temperature():
    return 35


class Partition:
    """Only what there is to know about the running application."""

    BOOT, RUNNING = 0, 1
    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, which):
        if which not in (self.BOOT, self.RUNNING):
            raise OSError(2)

    def info(self):
        return (0, 0, 0x10000, 0x1F0000, "factory", False)

    @staticmethod
    def mark_app_valid_cancel_rollback():
        pass


__getattr__ = _world.lacks("esp32")
