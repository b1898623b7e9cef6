"""The local cloud's RainMaker: mapping by challenge and response. The test signs for the node."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cloud_board import in_loop
from cloud_nodes import Rig
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tools.cloud.app import AppError
from tools.cloud.node_credentials import KeyKind, NodeCredentials


def sign(made: NodeCredentials, challenge: str, salt_len: int = 32) -> bytes:
    if isinstance(made.key, ec.EllipticCurvePrivateKey):
        return made.key.sign(challenge.encode(), ec.ECDSA(hashes.SHA256()))
    assert isinstance(made.key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_len)
    return made.key.sign(challenge.encode(), pss, hashes.SHA256())


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@in_loop
async def test_challenge_and_response(kind: KeyKind) -> None:
    async with Rig(mqtt=False) as rig:
        made = rig.cloud.new_node("node-1", kind)
        await rig.own(rig.hers)
        group = await rig.mine.create_group("home")
        request, challenge = await rig.mine.initiate(timeout=360)
        await rig.mine.verify(request, "node-1", sign(made, challenge), group)
        assert await rig.mine.nodes() == ["node-1"] and await rig.hers.nodes() == []
        assert (await rig.mine.groups())[0]["nodes"] == ["node-1"]
        # Once is enough.
        with pytest.raises(AppError, match="400: This request is confirmed already"):
            await rig.mine.verify(request, "node-1", sign(made, challenge))


@in_loop
async def test_challenge_is_refused() -> None:
    async with Rig(mqtt=False) as rig:
        made = rig.cloud.new_node("node-1")
        other = rig.cloud.new_node("node-2", "rsa")

        async def refused(
            node_id: str, signature: Callable[[str], bytes], status: int, after_s: float = 0
        ) -> None:
            request, challenge = await rig.mine.initiate()
            rig.clock.now += after_s
            with pytest.raises(AppError, match=str(status)):
                await rig.mine.verify(request, node_id, signature(challenge))
            with pytest.raises(AppError, match="400: This request is"):  # the challenge is used
                await rig.mine.verify(request, "node-1", sign(made, challenge))

        await refused("node-1", lambda c: sign(made, c + "x"), 400)
        await refused("node-1", lambda c: sign(other, c), 400)
        await refused("node-1", lambda c: b"\x30\x00", 400)
        await refused("node-3", lambda c: sign(made, c), 404)
        await refused("node-2", lambda c: sign(other, c, salt_len=20), 400)
        pkcs1 = other.key
        assert isinstance(pkcs1, rsa.RSAPrivateKey)
        await refused(
            "node-2", lambda c: pkcs1.sign(c.encode(), padding.PKCS1v15(), hashes.SHA256()), 400
        )
        await refused("node-1", lambda c: sign(made, c), 400, after_s=300)
        # Another user's request is no request.
        request, challenge = await rig.hers.initiate(timeout=10)
        with pytest.raises(AppError, match="404"):
            await rig.mine.verify(request, "node-1", sign(made, challenge))
        with pytest.raises(AppError, match="400"):
            await rig.mine.initiate(timeout=0)
        with pytest.raises(AppError, match="404"):
            await rig.mine.initiate(group_id="nobody's")
        # New credentials: the old key proves nothing any more.
        rig.cloud.new_node("node-1")
        await refused("node-1", lambda c: sign(made, c), 400)
        assert rig.cloud.rainmaker.mapping.history == []


@pytest.mark.parametrize("asked_s, has_s", [({}, 300), ({"timeout": 360}, 360)], ids=["300", "360"])
@pytest.mark.parametrize("late", [False, True], ids=["in-time", "late"])
@in_loop
async def test_a_challenge_is_good_for_its_time(
    asked_s: dict[str, int], has_s: int, late: bool
) -> None:
    """The app's, which names none, and that of esp-rainmaker-cli; UNCONFIRMED for the app's."""
    async with Rig(mqtt=False) as rig:
        made = rig.cloud.new_node("node-1")
        request, challenge = await rig.mine.initiate(**asked_s)
        rig.clock.now += has_s if late else has_s - 0.1
        answered = rig.mine.verify(request, "node-1", sign(made, challenge))
        if late:
            with pytest.raises(AppError, match="400: This request is timedout already"):
                await answered
        else:
            await answered
        assert await rig.mine.nodes() == ([] if late else ["node-1"])
        (kept,) = rig.cloud.rainmaker.challenges.requests
        assert kept.status == ("timedout" if late else "confirmed")
