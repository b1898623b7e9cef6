"""`homing`: one program for flashing desks, test rigs and the sofa. `homing VERB --help` tells."""

from __future__ import annotations

import importlib
from typing import Any

import click

# Verb → module with a `command`. Loaded when asked for: `homing --help` answers at once.
_VERBS = {
    "bench": "tools.bench.verb",
    "cloud": "tools.cloud.verb",
    "demo": "tools.demo",
    "deploy": "tools.deploy.verb",
    "flash": "tools.flash.verb",
    "identity": "tools.identity",
    "label": "tools.label",
    "provision": "tools.provision.verb",
    "sim": "tools.sim.verb",
    "size": "tools.bench.size_verb",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _VERBS.get(cmd_name)
        if module is None:
            return None
        command: Any = importlib.import_module(module).command
        return command


@click.group(cls=_Lazy)
@click.version_option(package_name="homing-tools")
def main() -> None:
    """Host side of Homing: simulated boards, a local cloud, and the phone's part."""


if __name__ == "__main__":
    main()
