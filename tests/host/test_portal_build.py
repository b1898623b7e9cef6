"""The built page is what its sources and its lock file give, small, and asks nobody else."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.sim.image import board_files

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tools" / "portal"
BUILT = "lib/homing/provisioning/portal.html.gz"
MAX_LEN = 40 * 1024
INSTALL_S = 100


def page() -> str:
    return gzip.decompress((ROOT / BUILT).read_bytes()).decode()


@pytest.fixture(scope="module")
def sources() -> Path:
    """A copy of the sources beside the packages of the lock file; these are kept, like .venv."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (make test-system)")
    lock = (SOURCES / "package-lock.json").read_bytes()
    where = ROOT / "build" / f"portal-{hashlib.sha256(lock).hexdigest()[:12]}"
    shutil.copytree(
        SOURCES, where, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True
    )
    done = where / "node_modules" / ".done"
    if not done.exists():
        subprocess.run([npm, "ci", "--no-progress"], cwd=where, check=True, timeout=INSTALL_S)
        done.touch()
    return where


def test_the_sources_give_the_committed_page(sources: Path, tmp_path: Path) -> None:
    made = tmp_path / "page.gz"
    subprocess.run(["node", "build.mjs", str(made)], cwd=sources, check=True, timeout=INSTALL_S)
    cure = "run `make portal` and commit the page"
    assert gzip.decompress(made.read_bytes()).decode() == page(), cure
    assert made.read_bytes() == (ROOT / BUILT).read_bytes(), cure


def test_it_is_small_and_goes_to_boards() -> None:
    data = (ROOT / BUILT).read_bytes()
    assert len(data) <= MAX_LEN
    assert board_files()[BUILT] == data
    listed = json.loads((ROOT / "package.json").read_text())["urls"]
    assert ["homing/provisioning/portal.html.gz", BUILT] in listed


def test_it_needs_nobody_else() -> None:
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy and policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1] and "connect-src 'self'" in policy[1]
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("w3.org", "")))
    assert addresses == {"https://paulmillr.com"}  # in the licence


def test_versions_are_exact_and_licences_inside() -> None:
    wanted = json.loads((SOURCES / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        entry = lock[f"node_modules/{name}"]
        assert entry["version"] == version and entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
        if name.startswith("@noble/"):
            assert entry["license"] == "MIT" and f"{name} {version}, Copyright (c)" in page()
    assert "The above copyright notice and this permission notice shall be included" in page()


READABLE = {
    b"home": "home",
    "Café ☕".encode(): "Café ☕",
    b"no utf8 \xff\xfe~": "no utf8 \\xff\\xfe~",
    b"cut \xe2\x98": "cut \\xe2\\x98",
    "left\u202eright".encode(): "left\\xe2\\x80\\xaeright",  # would turn the line around
    "zero\u200bwidth\n".encode(): "zero\\xe2\\x80\\x8bwidth\\x0a",
    b"\x00" * 3: "\\x00" * 3,
    "\ufeffmark".encode(): "\\xef\\xbb\\xbfmark",
}
# Of google.protobuf in tests/host/test_protobuf_google.py: an RSSI of -47, a oneof that is 0.
MESSAGES = {
    "18d1ffffffffffffffff01": {"3": [-47]},
    "5000": {"10": [0]},
    "0a0268690a0178": {"1": ["6869", "78"]},
    "a2010200ff10ac02": {"20": ["00ff"], "2": [300]},
}
CUT = ("0a", "0a0268", "08", "08" + "ff" * 10, "0d00000000", "0affffffff0f")
_NODE = """
import { readable } from "./src/bytes.js";
import { decode, encode } from "./src/protobuf.js";
const [names, messages, cut] = JSON.parse(process.argv[1]);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const plain = (v) => typeof v === "number" ? v : Buffer.from(v).toString("hex");
const fields = (m) => Object.fromEntries(Object.entries(m).map(([n, v]) => [n, v.map(plain)]));
const refused = (hex) => { try { return fields(decode(bytes(hex))); } catch (e) { return null; } };
console.log(JSON.stringify([
  names.map((hex) => readable(bytes(hex))),
  messages.map((hex) => fields(decode(bytes(hex)))),
  cut.map(refused),
  plain(encode([1, 0], [2, 300], [20, bytes("00ff")], [12, bytes("")])),
]));
"""


def test_names_and_messages_are_read_as_they_are_meant() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed (make test-system)")
    given = json.dumps([[ssid.hex() for ssid in READABLE], list(MESSAGES), CUT])
    done = subprocess.run(
        [node, "--input-type=module", "-e", _NODE, "--", given],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
    )
    assert done.returncode == 0, done.stderr
    names, messages, cut, made = json.loads(done.stdout)
    assert names == list(READABLE.values())
    assert messages == list(MESSAGES.values())
    assert cut == [None] * len(CUT)
    assert made == "10ac02" + "a2010200ff" + "6200"
