# Who is shown the page, who is led to it, and who is told that all is well.

import os

from support import raises

from homing.provisioning.portal import Page

PHONE, OTHER = b"\xc0\xa8\x04\x02", b"\xc0\xa8\x04\x03"
OWN = b"192.168.4.1"
LOCATION = b"Location: http://192.168.4.1/\r\n"
PROBES = (
    ("/hotspot-detect.html", b"captive.apple.com", b"200 OK", b"<BODY>Success</BODY>"),
    ("/library/test/success.html", b"www.apple.com", b"200 OK", b"<BODY>Success</BODY>"),
    ("/", b"captive.apple.com", b"200 OK", b"<BODY>Success</BODY>"),
    ("/generate_204", b"connectivitycheck.gstatic.com", b"204 No Content", b""),
    ("/gen_204", b"www.google.com", b"204 No Content", b""),
    ("/connecttest.txt", b"www.msftconnecttest.com", b"200 OK", b"Microsoft Connect Test"),
    ("/ncsi.txt", b"www.msftncsi.com", b"200 OK", b"Microsoft NCSI"),
    ("/canonical.html", b"detectportal.firefox.com", b"200 OK", b"support.mozilla.org"),
    ("/success.txt", b"detectportal.firefox.com", b"200 OK", b"success\n"),
)


def redirected(found):
    status, head, body = found
    assert status == b"302 Found" and LOCATION in head and b"http://192.168.4.1/" in body
    return True


def test_the_page_is_a_file_that_is_there():
    for host in (OWN, OWN + b":80", b""):
        status, head, body = Page().get("/", host, PHONE)
        with body:
            data = body.read()
        assert status == b"200 OK" and b"Content-Encoding: gzip\r\n" in head
        assert data[:3] == b"\x1f\x8b\x08" and len(data) <= 40 * 1024
    raises(OSError, Page("/no/such/file").get, "/", OWN, PHONE)
    assert os.stat(Page()._path)[6] == len(data)


def test_probes_lead_to_the_page_until_an_app_is_heard():
    page = Page()
    for path, host, _status, _body in PROBES:
        assert redirected(page.get(path, host, PHONE))
    assert page.posted(OWN, b"", PHONE, True)
    for path, host, status, body in PROBES:
        found = page.get(path, host, PHONE)
        assert found[0] == status and body in found[2], path
        assert redirected(page.get(path, host, OTHER))
    # The page is still there, and "log in" leads to it.
    page.get("/", OWN, PHONE)[2].close()
    assert redirected(page.get("/redirect", b"www.msftconnecttest.com", PHONE))


def test_other_paths():
    page = Page()
    assert page.get("/favicon.ico", OWN, PHONE) is None
    assert page.get("/favicon.ico", b"", PHONE) is None
    assert page.get("/prov-config", OWN, PHONE) is None
    assert redirected(page.get("/", b"example.com", PHONE))
    assert redirected(page.get("/index.html", b"EXAMPLE.com:80", PHONE))
    assert redirected(page.get("/generate_204", OWN, PHONE))


def test_only_what_is_meant_for_the_board_is_answered():
    page = Page()
    for host, origin in (
        (b"example.com", b""),
        (b"example.com", b"http://example.com"),
        (OWN, b"http://example.com"),
        (OWN, b"null"),
        (OWN + b".example.com", b""),
    ):
        assert not page.posted(host, origin, PHONE, True)
    for host in (OWN, OWN + b":80", b""):
        assert page.posted(host, b"http://192.168.4.1", PHONE, False)
    assert page._apps == []


def test_phones_with_an_app_are_bounded():
    page = Page()
    for n in range(50):
        for _ in range(2):
            assert page.posted(OWN, b"", bytes((192, 168, 4, n)), True)
    assert len(page._apps) == 8
    assert page.get("/gen_204", b"x", bytes((192, 168, 4, 49)))[0] == b"204 No Content"
    assert redirected(page.get("/gen_204", b"x", bytes((192, 168, 4, 0))))
