from support import raises

from homing.protocomm.errors import Refused
from homing.provisioning.intents import Intents


def test_order_and_bound():
    intents = Intents(3)
    assert intents.get_nowait() is None
    for i in range(3):
        intents.post(("item", i))
    raises(Refused, intents.post, ("item", 3))
    assert [intents.get_nowait() for _ in range(4)] == [("item", 0), ("item", 1), ("item", 2), None]
    intents.post("again")
    assert intents.get_nowait() == "again"
