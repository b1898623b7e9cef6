# Native code is tried at every boot before it is used, so that a fault in it is no boot loop: what
# crashes the chip is found out at the next boot, and from then on the plain version runs.
#
# That it is being tried stands in the RTC memory, which resets leave alone and a power cut clears;
# behind what a maker may have there. The marks are white space, for readers that ignore it.

from . import board, log, memory
from .crypto import native

_TRYING = b"\n \t\t \t \n"
_FAILED = b"\n\t \t  \t\n"
_MARK_LEN = len(_TRYING)


def admit(*kernels):
    """Let homing.crypto use these, as far as this chip can load them and they answer right.

    To be called before homing.crypto's modules are imported, and while memory is free. Nothing of
    this module stays loaded.
    """
    data = board.rtc_memory()
    mark = data[-_MARK_LEN:]
    fault = None
    if mark == _FAILED:
        pass  # that was said when it was found out
    elif mark == _TRYING:
        data = data[:-_MARK_LEN]
        fault = "it did not come back"
    elif _write(data + _TRYING):  # else there is no room for the mark, so no safe way to try
        try:
            wrong = _try(kernels)
        finally:
            _write(data)
        if wrong:
            fault = "wrong answer from " + wrong
    if fault:
        native.allowed = ()
        _write(data + _FAILED)
        log.say("native code does not work on this board: without it, until the power is cut")
        log.err("native", why=fault)
    answers = "homing.crypto.known_answers"
    memory.unload((answers, answers + "_optional", "homing.native_trial"))


def _write(data):
    try:
        board.set_rtc_memory(data)
        return True
    except ValueError:  # too long
        return False


def _try(kernels):
    # The first one that answers wrong, or None.
    for name in kernels:
        before = native.allowed
        if name not in before:
            native.allowed = before + (name,)
            kernel = native.load(name)
            if kernel is None:
                native.allowed = before
            elif not _check(name)(kernel):
                return name
    return None


def _check(name):
    from .crypto.known_answers import CHECKS

    if name not in CHECKS:
        from .crypto.known_answers_optional import CHECKS
    return CHECKS[name]
