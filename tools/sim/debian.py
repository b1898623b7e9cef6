"""Files of Debian's archive, verified, beside the system.

Nothing is installed, and the package lists of the machine stay as they are. Standard library only,
so that it runs before there is an environment.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_APT_HELPER = "/usr/lib/apt/apt-helper"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TIMEOUT_S = 300


class Unavailable(Exception):
    """Why it could not be had, and what to do."""


def run(*args: str, cwd: Path | None = None) -> str:
    """What a command prints. Raises Unavailable with its complaint."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=cwd)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(f"{Path(args[0]).name}: {e}") from None
    if done.returncode:
        raise Unavailable(f"{Path(args[0]).name} failed:\n{done.stderr or done.stdout}")
    return done.stdout


def need(*tools: str) -> None:
    """Raises Unavailable unless the machine has those tools of Debian's."""
    for tool in tools:
        if not shutil.which(tool):
            raise Unavailable(f"no {tool}: this needs Debian or a relative of it")


def pinned(files: Mapping[str, str], work: Path) -> list[Path]:
    """Files by path in the pool and SHA-256, fetched into `work` by apt's own downloader.

    A point release takes some away; then an index says what is there instead. But these come first:
    a mirror in the middle of a synchronisation, and some stay there for days, has the files while
    its index does not match its signature. Raises Unavailable.
    """
    found = []
    for path, sha256 in files.items():
        url = f"{_mirror().rstrip('/')}/pool/{path}"
        found.append(work / Path(url).name)
        run(_APT_HELPER, "download-file", url, str(found[-1]), f"SHA256:{sha256}")
    return found


def apt_get(work: Path, source: str, suite: str, arch: str = "") -> list[str]:
    """apt-get as a command with a state of its own in `work`, where nothing is installed, and the
    index of a suite read. source: "deb", or "deb-src" for sources. Raises Unavailable.
    """
    for name in ("lists/partial", "archives/partial"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    options = f"arch={arch} " if arch else ""
    line = f"{source} [{options}signed-by={_KEYRING}] {_mirror()} {suite} main\n"
    (work / "sources.list").write_text(line)
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    if arch:
        settings |= {"APT::Architecture": arch, "APT::Architectures": arch}
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in settings.items())]
    run(*command, "update")
    return command


def _mirror() -> str:
    # The one that this machine uses already: a proxy or a local mirror is set up there.
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    for line in lines.split():
        if line.rstrip("/").endswith("/debian"):
            return line
    raise Unavailable("none of this machine's package sources is a Debian mirror")
