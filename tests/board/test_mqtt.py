"""A RainMaker node on a real broker: what it tells, what it takes, and what it makes of trouble."""

from __future__ import annotations

from node_rig import (
    CONFIG,
    INIT,
    MAPPING,
    PARAMS,
    PENDING,
    SECRET,
    USER,
    NodeBench,
    needs_broker,
)

from tools.harness.bench import NODE_ID

pytestmark = needs_broker


def test_tells_what_it_is_and_takes_what_an_app_writes() -> None:
    with NodeBench(mapping=PENDING) as node:
        topics = [topic for topic, _payload in node.cloud.messages]
        assert topics == [CONFIG, MAPPING, INIT]
        assert node.cloud.of(MAPPING) == [
            {"node_id": NODE_ID, "user_id": USER, "secret_key": SECRET}
        ]
        node.cloud.write({"Lamp": {"Power": True}})
        node.board.wait_text("lamp: Power True")
        node.until(lambda: node.cloud.of(PARAMS) == [{"Lamp": {"Power": True}}])
        assert node.kept() == {"st": "confirmed", "user": USER}
