"""Write the hashed requirement files from pyproject.toml (needs pip-tools).

The files name no package index: plain pip installs them from wherever the machine is set up to look.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = "setuptools>=80\nwheel\n"


def main() -> None:
    """Compile runtime.txt, test.txt and dev.txt, each holding the one before it."""
    build = HERE / "build.in"
    build.write_text(BUILD)
    try:
        for name, extras in (("runtime", []), ("test", ["test"]), ("dev", ["test", "dev"])):
            target = HERE / f"{name}.txt"
            subprocess.run(
                [
                    sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes",
                    "--allow-unsafe", "--no-strip-extras", "--no-emit-index-url", "--no-emit-trusted-host",
                    "--no-emit-options",
                    "--no-annotate", "--no-header", "--output-file", str(target),
                    *(f"--extra={extra}" for extra in extras),
                    "pyproject.toml", str(build),
                ],
                cwd=HERE.parent,
                check=True,
            )  # fmt: skip
            text = target.read_text()
            if re.search(r"https?://", text):
                raise SystemExit(f"{target} names a host")
    finally:
        build.unlink()


main()
