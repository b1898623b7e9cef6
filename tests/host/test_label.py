"""Labels, read by a decoder that is not ours, as files and as a browser draws them."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import zxingcpp
from click.testing import CliRunner, Result
from cloud_page import chromium
from selenium import webdriver

from tools.harness.bench import POP, SimBench
from tools.label import command

NAME = "PROV_c0ffee"
_SVG = "{http://www.w3.org/2000/svg}"
_DRAW = """
const done = arguments[arguments.length - 1], picture = new Image();
picture.onload = () => {
  const canvas = document.createElement("canvas"), scale = 4;
  canvas.width = picture.width * scale; canvas.height = picture.height * scale;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let gray = "";
  for (let i = 0; i < rgba.length; i += 4) gray += String.fromCharCode(rgba[i]);
  done([canvas.width, canvas.height, btoa(gray)]);
};
picture.src = "data:image/svg+xml;base64," + arguments[0];
"""


def label(path: Path, *options: str) -> Result:
    return CliRunner().invoke(command, [*options, str(path)])


def made(path: Path, *options: str) -> Path:
    result = label(path, *options)
    assert result.exit_code == 0, result.output
    assert POP not in result.output  # what a terminal or a log keeps
    return path


def decoded(pixels: bytes, width: int, height: int) -> Any:
    (found,) = zxingcpp.read_barcodes(memoryview(pixels).cast("B", (height, width)))
    return json.loads(found.text)


def png(path: Path) -> tuple[bytes, int, int, float]:
    """Gray pixels, width, height, and dots per millimetre of a PNG of 1 bit."""
    data, at, chunks = path.read_bytes(), 8, dict[bytes, bytes]()
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks[data[at + 4 : at + 8]] = data[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth, color = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (depth, color) == (1, 0)
    stride = 1 + (width + 7) // 8
    raw = zlib.decompress(chunks[b"IDAT"])
    row, bits = bytes(stride - 1), ""
    for n in range(height):
        kind, line = raw[n * stride], raw[n * stride + 1 : (n + 1) * stride]
        assert kind in (0, 2)  # as it is, or what is added to the row above
        row = bytes((a + b) & 0xFF for a, b in zip(row, line, strict=True)) if kind else line
        bits += f"{int.from_bytes(row, 'big'):0{8 * (stride - 1)}b}"[:width]
    pixels = bytes(255 * int(bit) for bit in bits)
    return pixels, width, height, struct.unpack_from(">I", chunks[b"pHYs"])[0] / 1000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--pop", POP], {"pop": POP, "transport": "ble", "security": 1}),
        (["--no-pop"], {"transport": "ble", "security": 1}),
        (
            ["--pop", POP, "--security", "2", "--transport", "softap", "--password", "12345678"],
            {
                "pop": POP,
                "transport": "softap",
                "security": 2,
                "username": "wifiprov",
                "password": "12345678",
            },
        ),
    ],
)
def test_png(tmp_path: Path, options: list[str], expected: dict[str, Any]) -> None:
    pixels, width, height, dots_mm = png(made(tmp_path / "l.png", "--name", NAME, *options))
    assert decoded(pixels, width, height) == {"ver": "v1", "name": NAME, **expected}
    assert width / dots_mm == pytest.approx(24, rel=0.01)


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ElementTree.parse(path).iter(f"{_SVG}text")]


def test_svg_text_and_size(tmp_path: Path) -> None:
    path = made(tmp_path / "l.svg", "--name", NAME, "--pop", POP, "--size", "30")
    root = ElementTree.parse(path).getroot()
    assert root.get("width") == "30mm"
    assert texts(path) == [NAME, f"PoP: {POP}"]
    odd = made(tmp_path / "odd.svg", "--name", NAME, "--pop", "<&>'\"" * 12 + "abcd")
    assert "".join(texts(odd)) == NAME + "PoP:" + "<&>'\"" * 12 + "abcd"


def test_svg_in_a_browser(tmp_path: Path) -> None:
    driver: webdriver.Chrome | None = chromium(tmp_path / "profile")
    if driver is None:
        pytest.skip("chromium and chromium-driver are not installed (make test-system)")
    path = made(tmp_path / "l.svg", "--name", NAME, "--pop", POP)
    try:
        source = base64.b64encode(path.read_bytes()).decode()
        width, height, gray = driver.execute_async_script(_DRAW, source)
    finally:
        driver.quit()
    found = decoded(base64.b64decode(gray), width, height)
    assert (found["name"], found["pop"]) == (NAME, POP)


def test_label_of_a_board(tmp_path: Path) -> None:
    """What its label says is what it prints itself; and its program goes on afterwards."""
    with SimBench() as bench:
        bench.board.wait_state("advertising")
        printed = bench.board.wait_text(r"QR: (\{.*\})")[1]
        with bench.board.lent() as port:
            path = made(tmp_path / "l.png", "--port", port)
            made(tmp_path / "l.svg", "--port", port)
        pixels, width, height, _ = png(path)
        assert decoded(pixels, width, height) == json.loads(printed)
        assert texts(tmp_path / "l.svg") == [bench.name(), f"PoP: {bench.pop()}"]
        bench.board.wait_state("advertising")


@pytest.mark.parametrize("security", ["2", "1,2"])
def test_label_of_a_board_with_security_2(tmp_path: Path, security: str) -> None:
    identity = {"pop": POP, "security": security, "username": "maker"}
    with SimBench(identity=identity, files={"main.py": "print('no service')"}) as bench:
        bench.board.wait_text("no service")
        with bench.board.lent() as port:
            path = made(tmp_path / "l.png", "--port", port, "--name", NAME)
    pixels, width, height, _ = png(path)
    found = decoded(pixels, width, height)
    assert (found["name"], found["security"], found["username"]) == (NAME, 2, "maker")


@pytest.mark.parametrize("pop", [None, POP])
def test_label_of_a_board_without_a_proof(tmp_path: Path, pop: str | None) -> None:
    path = tmp_path / "l.svg"
    with SimBench(identity={}, files={"main.py": "print('no service')"}) as bench:
        bench.board.wait_text("no service")
        with bench.board.lent() as port:
            result = label(path, "--port", port, *(["--pop", pop] if pop else []))
    if pop is None:
        assert "keeps no proof of possession" in result.output and result.exit_code
    else:
        assert texts(path)[1] == f"PoP: {pop}"


@pytest.mark.parametrize(
    ("file", "options", "why"),
    [
        ("l.svg", [], "give --port, or --name with --pop or --no-pop"),
        ("l.svg", ["--name", NAME], "give --port, or --name with --pop or --no-pop"),
        ("l.gif", ["--name", NAME, "--no-pop"], "neither an .svg nor a .png"),
        ("l.svg", ["--name", "n" * 29, "--no-pop"], "a name has 1 to 28 printable"),
        ("l.svg", ["--name", NAME, "--pop", "a b"], "without spaces"),
        ("l.svg", ["--name", NAME, "--no-pop", "--size", "8"], r"needs 1\d mm or more"),
        ("no/l.svg", ["--name", NAME, "--no-pop"], "cannot write .*No such file"),
        ("l.svg", ["--port", "/dev/no-such-port"], "cannot open /dev/no-such-port"),
    ],
)
def test_what_cannot_be(tmp_path: Path, file: str, options: list[str], why: str) -> None:
    result = label(tmp_path / file, *options)
    assert result.exit_code != 0
    assert re.search(why, result.output), result.output
    assert not (tmp_path / file).exists()
