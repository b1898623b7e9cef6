"""What a phone's system is told on a board's access point with `portal=True`: names and probes.

The page itself is driven in tests/host/test_portal_page.py.
"""

from __future__ import annotations

import gzip
import http.client
import random
import socket
from pathlib import Path

import pytest
from dnslib import DNSRecord

from tools.bench import memory
from tools.harness.bench import SimBench
from tools.sim import memory32
from tools.sim.soft_ap import SoftApPhone

PAGE = Path(__file__).parents[2] / "lib/homing/provisioning/portal.html.gz"
TIMEOUT_S = 10
HEAP_LEN = 5_500
MARK = {"Homing-Page": "1"}


def main_py(options: str) -> dict[str, str]:
    return {"main.py": f"import homing\nhoming.run({options})\n"}


portal = pytest.mark.sim(files=main_py("transports=('softap',), portal=True"))


def joined(lab: SimBench) -> SoftApPhone:
    lab.board.wait_state("advertising")
    return lab.sim.soft_ap.join(lab.name())


def ask(
    phone: SoftApPhone,
    method: str,
    path: str,
    host: str = "192.168.4.1",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own: status, head (names in lower case), body."""
    connection = http.client.HTTPConnection(*phone.address(), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, {"Host": host} | (headers or {}))
        response = connection.getresponse()
        head = {name.lower(): value for name, value in response.getheaders()}
        return response.status, head, response.read()
    finally:
        connection.close()


def look_up(phone: SoftApPhone, name: str, kind: str) -> list[str]:
    record = DNSRecord.question(name, kind)
    answer = DNSRecord.parse(record.send(*phone.address(53), timeout=TIMEOUT_S))
    assert answer.header.id == record.header.id and str(answer.q.qname) == f"{name}."
    return [str(each.rdata) for each in answer.rr]


@portal
def test_every_name_leads_to_the_board(lab: SimBench) -> None:
    phone = joined(lab)
    for name in ("captive.apple.com", "connectivitycheck.gstatic.com", "x" * 63 + ".example"):
        assert look_up(phone, name, "A") == ["192.168.4.1"]
        assert look_up(phone, name, "AAAA") == look_up(phone, name, "HTTPS") == []
    # Noise harms nothing and is not answered; what comes after it is.
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    noise = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(100):
            sock.sendto(b"\0\0\x80" + noise.randbytes(noise.randrange(700)), phone.address(53))
        assert look_up(phone, "example.com", "A") == ["192.168.4.1"]
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


@portal
def test_the_page_comes_whole_and_posts_are_told_apart(lab: SimBench) -> None:
    phone, other = joined(lab), lab.sim.soft_ap.join(lab.name())
    status, head, body = ask(phone, "GET", "/")
    assert status == 200 and head["content-encoding"] == "gzip" and body == PAGE.read_bytes()
    assert b"<title>Wi-Fi set-up</title>" in gzip.decompress(body)
    assert ask(phone, "GET", "/favicon.ico")[0] == 404
    assert ask(phone, "GET", "/prov-config")[0] == 405

    def probes(of: SoftApPhone) -> list[int]:
        android = ask(of, "GET", "/generate_204", "connectivitycheck.gstatic.com")
        ios = ask(of, "GET", "/hotspot-detect.html", "captive.apple.com")
        windows = ask(of, "GET", "/connecttest.txt", "www.msftconnecttest.com")
        firefox = ask(of, "GET", "/success.txt?ipv4", "detectportal.firefox.com")
        anything = ask(of, "GET", "/", "example.com")
        assert anything[1]["location"] == "http://192.168.4.1/"
        for each in (android, ios, windows, firefox):
            assert each[0] != 302 or each[1]["location"] == "http://192.168.4.1/"
        assert "content-length" not in android[1] or android[0] != 204
        return [android[0], ios[0], windows[0], firefox[0]]

    led = [302] * 4
    assert probes(phone) == led
    # What the page sends makes no app; it hears of a refusal, and may go on on that socket.
    assert ask(phone, "POST", "/proto-ver", body=b"page", headers=MARK)[0] == 200
    status, head, body = ask(phone, "POST", "/prov-session", body=b"\xff", headers=MARK)
    assert status == 403 and not body and "close" not in head.get("connection", "")
    assert probes(phone) == led

    # Nor does a page from elsewhere, under its own name or not.
    for host, origin in (("example.com", None), ("192.168.4.1", "http://example.com")):
        more = {"Origin": origin} if origin else {}
        status, head, _ = ask(phone, "POST", "/proto-ver", host, b"x", more)
        assert status == 403 and "set-cookie" not in head
    assert probes(phone) == led

    # An app: its phone is told that all is well, and no other one. A refusal closes its socket.
    assert b"netprov" in ask(phone, "POST", "/proto-ver", body=b"ESP")[2]
    with pytest.raises(http.client.RemoteDisconnected):
        ask(phone, "POST", "/prov-session", body=b"\xff")
    assert probes(phone) == [204, 200, 200, 200]
    assert probes(other) == led


@pytest.mark.sim(files=main_py("transports=('softap',)"))
def test_without_portal_there_is_nothing_of_it(lab: SimBench) -> None:
    phone = joined(lab)
    assert ask(phone, "GET", "/")[0] == 404
    assert ask(phone, "GET", "/generate_204", "connectivitycheck.gstatic.com")[0] == 404
    assert 53 not in lab.sim.network.served
    with pytest.raises(http.client.RemoteDisconnected):
        ask(phone, "POST", "/prov-session", body=b"\xff", headers=MARK)


@pytest.mark.sim(files=main_py("portal=True"))
def test_a_page_without_an_access_point_is_refused(lab: SimBench) -> None:
    lab.board.wait_text('ValueError: portal=True needs "softap" among transports=')


@pytest.mark.sim(files=main_py("transports=('softap',), portal=True, security=2"))
def test_a_page_for_security_2_alone_is_refused(lab: SimBench) -> None:
    lab.board.wait_text("ValueError: portal=True needs Security 1, which security=2 leaves out")


@pytest.mark.sim(files=main_py("transports=('softap',), portal=True"))
def test_ctrl_c_lets_go_of_the_port(lab: SimBench) -> None:
    joined(lab)
    lab.board.to_repl()
    lab.board.type("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
    lab.board.type("s.bind(socket.getaddrinfo('0.0.0.0', 53)[0][-1]); print('bound', 53)")
    lab.board.wait_text("bound 53")


def test_what_it_takes_of_the_heap() -> None:
    """On objects as big as the chip's: code, and no buffer that grows with the page."""
    command = memory32.command()
    if command is None:
        pytest.skip(f"needs the 32-bit MicroPython: {memory32.HINT}")
    free = []
    for portal in (False, True):
        files = main_py(f"transports=('softap',), portal={portal}")
        with SimBench(**memory.options(command, memory.ROOMY, files=files)) as lab:
            free.append(lab.board.wait_state("advertising")["gc_free"])
            phone = lab.sim.soft_ap.join(lab.name())
            assert ask(phone, "GET", "/")[0] == (200 if portal else 404)
            assert "MemoryError" not in lab.board.log
    assert 0 < free[0] - free[1] < HEAP_LEN
