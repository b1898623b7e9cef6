# FIPS 180-4: NIST's examples and vectors; and that the cut of the message does not matter.

from support import Random, unhex

from homing.crypto.sha512 import Sha512

# csrc.nist.gov: "SHA512.pdf" and "SHA_All.pdf" of the examples, SHA512ShortMsg.rsp of CAVP.
_NIST = (
    (
        b"",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    ),
    (
        b"\x21",
        "3831a6a6155e509dee59a7f451eb35324d8f8f2df6e3708894740f98fdee2388"
        "9f4de5adb0c5010dfb555cda77c8ab5dc902094c52de3278f35a75ebc25f093a",
    ),
    (
        b"abc",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        b"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
        "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
    ),
)


def test_nist():
    for message, digest in _NIST:
        assert Sha512(message).digest() == unhex(digest), message


def test_every_length_about_the_padding():
    # Pieces of one byte against the whole, for all places at which a block or the length may end.
    message = Random(5).bytes(260)
    hash_ = Sha512()
    for size in range(261):
        assert hash_.digest() == Sha512(memoryview(message)[:size]).digest(), size
        hash_.update(message[size : size + 1])


def test_chunking_does_not_matter():
    random = Random(6)
    message = random.bytes(1000)
    whole = Sha512(message).digest()
    for _ in range(20):
        hash_ = Sha512()
        pos = 0
        while pos < len(message):
            end = pos + random.below(300)
            hash_.update(memoryview(message)[pos:end])
            pos = end
        assert hash_.digest() == whole


def test_digest_leaves_the_state_as_it_was():
    hash_ = Sha512(b"ab")
    assert hash_.digest() == hash_.digest()
    hash_.update(b"c")
    assert hash_.digest() == unhex(_NIST[2][1])
