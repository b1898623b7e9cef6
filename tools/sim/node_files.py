"""What is in a board's flash once it has a RainMaker node's credentials."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tools.cloud.node_credentials import NodeCredentials

from . import image

_WRITE = """
import sys, json
sys.path[:] = [sys.argv[1], '.frozen']
from homing.identity import update
from homing.store import Store
store = Store(sys.argv[2])
told = json.load(sys.stdin)
update(store, told['identity'])
ns = store.open('identity')
ns.set('node_key', told['node_key'])
ns.commit()
ns = store.open('credentials')
ns.set('host', told['host'])
for key, value in told['bytes'].items():
    ns.set(key, bytes.fromhex(value))
ns.commit()
"""


def node_files(
    credentials: NodeCredentials, ca_der: bytes, identity: dict[str, str]
) -> dict[str, bytes]:
    """Credentials, identity and the authority of the MQTT host; the store's files are written by
    the board's own code on this host. identity: the other fields of it."""
    kept = {"cert": credentials.certificate_der, "key": credentials.key_der}
    if credentials.scalar is not None:
        kept["scalar"] = credentials.scalar
    told = {
        "identity": identity | {"node_id": credentials.node_id},
        "node_key": credentials.kind,
        "host": credentials.mqtt_host,
        "bytes": {name: value.hex() for name, value in kept.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "write.py"
        script.write_text(_WRITE)
        subprocess.run(
            [*image.interpreter(), str(script), str(image.PROJECT / "lib"), folder + "/nvs"],
            input=json.dumps(told),
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        made = sorted((Path(folder) / "nvs").iterdir())
        files = {f"nvs/{path.name}": path.read_bytes() for path in made}
    return files | {f"certs/{credentials.mqtt_host}.der": ca_der}
