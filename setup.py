"""What pyproject.toml cannot say: a wheel takes the board's own files along.

A simulated board carries them, wherever this is installed. See tools/sim/image.py.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithBoardFiles(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return  # it finds them where they are
        target = Path(self.build_lib, "tools", "board_files")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(
            ROOT / "lib", target / "lib", ignore=shutil.ignore_patterns("__pycache__", ".DS_Store")
        )
        for name in ("boot.py", "main.py", "package.json"):
            shutil.copy(ROOT / name, target / name)


setup(cmdclass={"build_py": BuildWithBoardFiles})
