# The DNS server's answers, byte by byte (RFC 1035), and that garbage gets none.

from support import Random, unhex

from homing.provisioning.dns import answer

ADDRESS = bytes((192, 168, 4, 1))
QUERY = unhex("1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001")


def changed(offset, value):
    query = bytearray(QUERY)
    query[offset] = value
    return bytes(query)


def test_a_is_answered_with_the_address():
    expected = unhex(
        "1234 8580 0001 0001 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001"
        "c00c 0001 0001 00000000 0004 c0a80401"
    )
    assert answer(QUERY, ADDRESS) == expected
    assert answer(changed(len(QUERY) - 3, 255), ADDRESS)[-4:] == ADDRESS  # any type
    # Without "recursion desired"; with further records behind the question.
    assert answer(changed(2, 0), ADDRESS)[2:4] == unhex("8480")
    assert answer(QUERY + unhex("00 0029 1000 00000000 0000"), ADDRESS) == expected


def test_other_types_and_classes_have_no_record():
    for offset, value in ((-3, 28), (-3, 65), (-4, 1), (-1, 3), (-2, 1)):
        found = answer(changed(len(QUERY) + offset, value), ADDRESS)
        assert found[:12] == unhex("1234 8580 0001 0000 0000 0000")
        assert found[12:] == changed(len(QUERY) + offset, value)[12:]


def test_other_operations_are_not_implemented():
    found = answer(changed(2, 0x28), ADDRESS)  # a dynamic update
    assert found == unhex("1234 a804 0000 0000 0000 0000")


def test_what_deserves_no_answer_gets_none():
    assert answer(answer(QUERY, ADDRESS), ADDRESS) is None
    for end in range(len(QUERY)):
        assert answer(QUERY[:end], ADDRESS) is None
    assert answer(changed(5, 0), ADDRESS) is None
    assert answer(changed(5, 2), ADDRESS) is None
    assert answer(changed(12, 0xC0), ADDRESS) is None  # a pointer
    assert answer(changed(12, 64), ADDRESS) is None
    assert answer(QUERY + bytes(512), ADDRESS) is None


def test_names_up_to_255_bytes():
    def query(*labels):
        name = b"".join([bytes((length,)) + b"x" * length for length in labels])
        return QUERY[:12] + name + unhex("00 0001 0001")

    longest = query(63, 63, 63, 61)
    found = answer(longest, ADDRESS)
    assert len(longest) == 12 + 255 + 4 and found[-4:] == ADDRESS
    assert answer(query(63, 63, 63, 63, 1), ADDRESS) is None
    assert answer(query(*[1] * 200), ADDRESS) is None
    assert answer(query(), ADDRESS)[-4:] == ADDRESS  # the root


def test_noise_raises_nothing():
    random = Random(5)
    for _ in range(3000):
        data = bytearray(random.bytes(random.below(80)))
        if random.below(2):
            data[: min(len(data), 12)] = QUERY[: min(len(data), 12)]
        found = answer(bytes(data), ADDRESS)
        assert found is None or (found[:2] == data[:2] and len(found) <= len(data) + 16)
