"""Espressif's esp-rainmaker-cli, unmodified, at a local cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CLI = Path(sys.executable).with_name("esp-rainmaker-cli")
MISSING = "`make env` installs esp-rainmaker-cli"
_PROFILE = "local"
_TIMEOUT_S = 100


class RainMakerCli:
    """The program with a profile of its own at a cloud: `cli("getnodes")` gives what it says on
    both outputs; Enter is pressed once. It may fail and exit with 0, so look at what it says.

    base_url: of LocalCloud.start_plain. Then `log_in`, or `use_token` for what that leaves, which
    saves the seconds of three runs.
    """

    def __init__(self, base_url: str, home: Path) -> None:
        self._environment = os.environ | {"RM_USER_CONFIG_DIR": str(home), "HOME": str(home)}
        self._home = home
        self._base_url = base_url

    def log_in(self, user: str, password: str) -> str:
        self("profile", "add", _PROFILE, "--base-url", self._base_url)
        self("profile", "switch", _PROFILE)
        return self("login", "--user_name", user, "--password", password)

    def use_token(self, token: str) -> None:
        from rmaker_lib.profile_manager import ProfileManager

        profiles = ProfileManager(str(self._home))
        profiles.create_custom_profile(_PROFILE, self._base_url)
        profiles.set_current_profile(_PROFILE)
        profiles.set_profile_tokens(_PROFILE, token, "none", token)

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [CLI, *arguments],
            input="\n",
            env=self._environment,
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        return done.stdout + done.stderr
