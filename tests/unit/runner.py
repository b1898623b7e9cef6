# On MicroPython: run one test function. Arguments: module, function. Exit code 1 if it fails.

import sys


def main(module, name):
    try:
        result = getattr(__import__(module), name)()
        if result is not None:  # a coroutine
            import asyncio

            asyncio.run(result)
    except Exception as e:  # noqa: BLE001 - whatever it is, it is the test's verdict
        sys.print_exception(e)
        sys.exit(1)


main(sys.argv[1], sys.argv[2])
