# SRP-6a as Security 2 has it: the recorded handshake, the arithmetic below it, refusals.

import vectors2 as v
from support import Random, raises

from homing.crypto import powers, srp6a
from homing.crypto.group3072 import LEN, PRIME
from homing.crypto.mod3072 import Mod3072
from homing.crypto.srp6a import Srp6a

_P = int.from_bytes(PRIME, "big")


def _int(data):
    return int.from_bytes(data, "big")


def _run(steps):
    count = 0
    for _ in steps:
        count += 1
    return count


def test_prime_of_rfc_3526():
    # 2**3072 - 2**3008 - 1 + 2**64 * (floor(2**2942 * pi) + 1690314), with pi by Machin's formula.
    one = 1 << 3100

    def arctan(x):
        term = total = one // x
        n = 3
        while term:
            term //= -x * x
            total += term // n
            n += 2
        return total

    pi = 16 * arctan(5) - 4 * arctan(239)
    tail = (pi >> 3100 - 2942) + 1690314
    assert (1 << 3072) - (1 << 3008) - 1 + (tail << 64) == _P


def test_recorded_handshake():
    srp = Srp6a(v.SALT, v.VERIFIER)
    _run(srp.prepare_tables())
    for _ in range(2):  # the table stays
        _run(srp.prepare(v.SECRET))
        public, key, proof = srp.respond(v.USERNAME, v.CLIENT_PUBLIC)
        assert public == v.PUBLIC
        assert key == v.KEY
        assert proof == v.PROOF
        assert srp6a.server_proof(v.CLIENT_PUBLIC, proof, key) == v.SERVER_PROOF


def test_secrets_serve_once_and_everything_is_made_when_it_is_missing():
    srp = Srp6a(v.SALT, v.VERIFIER)
    answers = []
    while len(answers) < 3:
        try:
            answers.append(srp.respond(v.USERNAME, v.CLIENT_PUBLIC))
        except ValueError as e:  # one time in 85
            assert "again" in e.args[0]
    for i in range(3):
        assert len({answer[i] for answer in answers}) == 3
        assert all(answer[i][0] for answer in answers)
        assert {len(answer[i]) for answer in answers} == {(LEN, 64, 64)[i]}


def test_a_zero_byte_at_the_beginning_fails_and_the_next_secret_serves():
    # Stands in for the hash: the key, or the proof, begins with zero.
    real = srp6a._hash
    for parts_of in (1, 6):
        srp = Srp6a(v.SALT, v.VERIFIER)
        _run(srp.prepare_tables())
        _run(srp.prepare(v.SECRET))
        made = []
        srp6a._hash = lambda *parts: (
            made.append(len(parts)),  # noqa: B023
            real(*parts) if len(parts) != parts_of else bytes(64),  # noqa: B023
        )[1]
        e = raises(ValueError, srp.respond, v.USERNAME, v.CLIENT_PUBLIC)
        srp6a._hash = real
        assert "again" in e.args[0]
        assert made.count(6) == 1  # nothing was done twice
        assert not srp.ready and srp.tables
        _run(srp.prepare())
        assert srp.ready
        assert srp.respond(v.USERNAME, v.CLIENT_PUBLIC)[1][0]


def test_a_public_value_with_a_zero_byte_is_not_kept():
    srp = Srp6a(v.SALT, v.VERIFIER)
    _run(srp.prepare_tables())
    # B = kv + g ** b: this kv makes it 1 less than 2 ** 3064, of 383 bytes.
    b = (3).to_bytes(32, "big")
    srp._kv = (1 << 3064) - 1 - 125
    _run(srp.prepare(b))
    assert not srp.ready
    srp._kv += 1
    _run(srp.prepare(b))
    assert srp.ready


def test_an_answer_may_come_between_the_steps_of_the_preparations():
    srp = Srp6a(v.SALT, v.VERIFIER)
    _run(srp.prepare_tables())
    _run(srp.prepare(v.SECRET))
    half_done = [srp.prepare_tables(), srp.prepare(v.SECRET)]
    for steps in half_done:
        for _ in range(50):
            next(steps)
    assert srp.respond(v.USERNAME, v.CLIENT_PUBLIC) == (v.PUBLIC, v.KEY, v.PROOF)
    for steps in half_done:
        _run(steps)
    assert srp.respond(v.USERNAME, v.CLIENT_PUBLIC) == (v.PUBLIC, v.KEY, v.PROOF)


def test_refusals():
    raises(ValueError, Srp6a, b"", v.VERIFIER)
    for verifier in (b"", bytes(LEN), PRIME):
        assert "zero" in raises(ValueError, Srp6a, v.SALT, verifier).args[0]
    raises(ValueError, Srp6a, v.SALT, bytes(LEN + 1))
    srp = Srp6a(v.SALT, v.VERIFIER)
    _run(srp.prepare(v.SECRET))
    for client in (b"", bytes(LEN), PRIME):
        assert "zero" in raises(ValueError, srp.respond, v.USERNAME, client).args[0]
    raises(ValueError, srp.respond, v.USERNAME, bytes(LEN) + b"\1")
    raises(ValueError, srp.respond, b"", v.CLIENT_PUBLIC)
    # None of these used up the secret.
    assert srp.respond(v.USERNAME, v.CLIENT_PUBLIC)[0] == v.PUBLIC


def test_arithmetic():
    random = Random(11)
    mod = Mod3072()
    table = mod.table(4)
    edges = (0, 1, 2, _P - 2, _P - 1, (1 << 3072) - 1, (1 << 3072) - _P, 1 << 3071, 1 << 32)
    values = [value.to_bytes(LEN, "big") for value in edges]
    values += [random.bytes(LEN) for _ in range(6)] + [b"", b"\5", random.bytes(100)]
    for x in values:
        mod.set(x)
        mod.store(table, 1)
        assert _int(mod.bytes()) == _int(x) % _P
        mod.square()
        assert _int(mod.bytes()) == _int(x) * _int(x) % _P
        for y in values:
            mod.set(y)
            mod.store(table, 2)
            mod.load(table, 1)
            mod.multiply(table, 2)
            assert _int(mod.bytes()) == _int(x) * _int(y) % _P
    mod.load(table, 0)
    assert mod.bytes() == bytes(LEN - 1) + b"\1"
    raises(ValueError, mod.set, bytes(LEN + 1))


def test_powers():
    random = Random(12)
    mod = Mod3072()
    table = mod.table(powers.WINDOWS)
    comb = mod.table(powers.COMBS)
    x = random.bytes(LEN)
    y = random.bytes(LEN)
    mod.set(y)
    _run(powers.comb_table(mod, comb))
    mod.set(x)
    _run(powers.window_table(mod, table))
    steps = set()
    both = set()
    for e, f in (
        (0, 0),
        (1, 0),
        (0, 1),
        ((1 << 256) - 1, (1 << 768) - 1),
        (_int(random.bytes(32)), _int(random.bytes(96))),
        (_int(random.bytes(16)), 1 << 153 | 1 << 154 | 1 << 767),
    ):
        window_exponent = e.to_bytes(powers.EXPONENT_LEN, "little")
        steps.add(_run(powers.power(mod, table, window_exponent)))
        expected = pow(_int(x), e, _P)
        assert _int(mod.bytes()) == expected
        comb_exponent = f.to_bytes(powers.COMB_LEN, "little")
        both.add(_run(powers.power(mod, table, window_exponent, comb, comb_exponent)))
        assert _int(mod.bytes()) == expected * pow(_int(y), f, _P) % _P
    # Whatever the exponents, the number of multiplications is the same.
    assert len(steps) == 1 and len(both) == 1
