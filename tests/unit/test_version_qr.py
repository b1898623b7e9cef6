import json
from collections import OrderedDict

from homing.protocomm.security1 import Security1
from homing.provisioning import qr
from homing.provisioning.version import version_json


def test_version():
    text = version_json(Security1(b"abcd1234"))
    assert isinstance(text, bytes)
    assert json.loads(text) == {
        "prov": {
            "ver": "netprov-v1.2",
            "sec_ver": 1,
            "sec_patch_ver": 0,
            "cap": ["wifi_prov", "wifi_scan"],
        }
    }
    assert text.index(b'"ver"') < text.index(b'"sec_ver"') < text.index(b'"cap"')


def test_no_pop_comes_first_and_only_without_one():
    def cap(pop):
        return json.loads(version_json(Security1(pop)))["prov"]["cap"]

    assert cap(None) == ["no_pop", "wifi_prov", "wifi_scan"]
    assert cap(b"") == cap(b"x") == ["wifi_prov", "wifi_scan"]


def test_sections_of_others_come_first():
    extra = OrderedDict([("homing", {"ver": "1.0", "cap": ["cloud_bind"]}), ("zz", {"cap": []})])
    text = version_json(Security1(None), extra)
    assert text.index(b'"homing"') < text.index(b'"zz"') < text.index(b'"prov"')
    assert json.loads(text)["homing"] == {"ver": "1.0", "cap": ["cloud_bind"]}


def test_qr_payload():
    assert qr.payload("PROV_a1b2c3", "abcd1234") == (
        '{"ver":"v1","name":"PROV_a1b2c3","pop":"abcd1234","transport":"ble","security":1}'
    )
    assert qr.payload("PROV_a1b2c3", None, "softap", 0) == (
        '{"ver":"v1","name":"PROV_a1b2c3","transport":"softap","security":0}'
    )
    assert qr.payload("PROV_a1b2c3", "abcd1234", security=2) == (
        '{"ver":"v1","name":"PROV_a1b2c3","username":"wifiprov","pop":"abcd1234",'
        '"transport":"ble","security":2}'
    )
    assert json.loads(qr.payload('a"b\\', "\n"))["name"] == 'a"b\\'


def test_qr_link():
    text = qr.payload("PROV_a1b2c3", "abcd1234")
    idf = "https://espressif.github.io/esp-jumpstart/qrcode.html?data="
    rainmaker = "https://rainmaker.espressif.com/qrcode.html?data="
    assert qr.link(text) == idf + text
    assert qr.link(text, rainmaker=True) == rainmaker + text
