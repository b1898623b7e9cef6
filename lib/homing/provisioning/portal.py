# What a phone without an app sees: the page at /, which is one more client of protocomm, and the
# answers to the questions by which phones and computers find out whether a network leads anywhere.
# Before an app has been heard they are led to the page; a phone whose app is at work is told that
# all is well, for otherwise its system might leave the network or cover the app with the page.

from micropython import const

from .softap import ADDRESS

_OK = b"200 OK"
_HTML = b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
_PAGE = _HTML + b"Content-Encoding: gzip\r\nX-Frame-Options: DENY\r\n"
_TEXT = b"Content-Type: text/plain\r\nCache-Control: no-store\r\n"
_ORIGIN = b"http://" + ADDRESS.encode()
_REDIRECT = _HTML + b"Location: %s/\r\n" % _ORIGIN
_LINK = b'<a href="%s/">Wi-Fi set-up</a>\n' % _ORIGIN

_APPLE = b"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"
_FIREFOX = (
    b'<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>'
)
# What each system asks for, and the body that means "this leads to the internet".
_PROBES = {
    "/hotspot-detect.html": (_OK, _HTML, _APPLE),  # iOS, macOS
    "/library/test/success.html": (_OK, _HTML, _APPLE),
    "/generate_204": (b"204 No Content", b"", b""),  # Android, Chrome
    "/gen_204": (b"204 No Content", b"", b""),
    "/connecttest.txt": (_OK, _TEXT, b"Microsoft Connect Test"),  # Windows 10 and later
    "/ncsi.txt": (_OK, _TEXT, b"Microsoft NCSI"),
    "/canonical.html": (_OK, _HTML, _FIREFOX),  # Firefox
    "/success.txt": (_OK, _TEXT, b"success\n"),
}
_APPLE_HOST = b"captive.apple.com"  # with other paths too

_MAX_APPS = const(8)  # more phones than an access point has room for


class Page:
    """The page of homing.provisioning.http. path: of the built page, beside this module if None."""

    def __init__(self, path=None):
        self._path = path or __file__.rsplit("/", 1)[0] + "/portal.html.gz"
        self._apps = []  # phones whose app was heard, the latest last

    def posted(self, host, origin, peer, app):
        """Whether a POST is for this board: every name leads here, so a page from elsewhere, which
        a phone still shows, could speak to it under its own name. app: not sent by our page."""
        if not _own(host) or origin not in (b"", _ORIGIN):
            return False
        if app and peer not in self._apps:
            if len(self._apps) >= _MAX_APPS:
                self._apps.pop(0)
            self._apps.append(peer)
        return True

    def get(self, path, host, peer):
        """(status, head, body) of a GET, None for 404. Raises OSError if the page is not there."""
        own = _own(host)
        if own and path == "/":
            return _OK, _PAGE, open(self._path, "rb")
        probe = _PROBES.get(path)
        if peer in self._apps:
            if probe is None and host.lower() == _APPLE_HOST:
                probe = _PROBES["/hotspot-detect.html"]
            if probe is not None:
                return probe
        # "/redirect" is what Windows opens in a browser for the person to log in.
        if probe is not None or path == "/redirect" or not own:
            return b"302 Found", _REDIRECT, _LINK
        return None


def _own(host):
    return host.split(b":", 1)[0] in (b"", ADDRESS.encode())
