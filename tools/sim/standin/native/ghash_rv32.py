# Stands in for the native code of GHASH: same calls, same results. Its table is the key itself.

from . import ghash_plain


def table(out, key):
    out[:16] = key


def update(digest, table, data, count):
    ghash_plain.update(digest, ghash_plain.table(bytes(table[:16])), bytes(data[: 16 * count]))
