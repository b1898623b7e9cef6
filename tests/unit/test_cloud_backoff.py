from homing.cloud.backoff import Backoff


def test_doubles_up_to_the_cap_with_jitter():
    seen = set()
    for _ in range(20):
        backoff = Backoff(5000, 300000)
        whole = 5000
        for _ in range(12):
            pause = backoff.next_ms()
            assert whole * 3 // 4 <= pause <= whole, (whole, pause)
            seen.add(pause)
            whole = min(2 * whole, 300000)
    assert len(seen) > 100


def test_reset_starts_over():
    backoff = Backoff(1000, 64000)
    for _ in range(5):
        backoff.next_ms()
    backoff.reset()
    assert backoff.next_ms() <= 1000


def test_retry_after_is_honoured_up_to_an_hour():
    backoff = Backoff(5000, 300000)
    assert backoff.next_ms(60) == 60000
    assert backoff.next_ms(10**6) == 3600000
    assert backoff.next_ms(-5) <= 20000
    assert Backoff(5000, 300000).next_ms(1) >= 3750
