#!/usr/bin/env python3
"""Drives Portcullis over HTTP/3 with clients of others: aioquic and curl; and Traefik with the same, to compare."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = ROOT / "target" / "http3"
PACKAGES = ("aioquic==1.7.2", "curl_cffi==0.17.0")
sys.path.append(str(HERE.parent / "differential"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portcullis", required=True, help="the binary")
    parser.add_argument("--traefik", help="the binary; found on PATH or installed when not given")
    parser.add_argument("--ports", default="25600-25699", help="range of ports to use")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what was seen")
    return parser.parse_args()


def inside():
    """Go on with the interpreter that has the packages."""
    python = VENV / "bin" / "python"
    marker = VENV / "packages"
    if not python.exists():
        venv.create(VENV, with_pip=True)
    if not marker.exists() or marker.read_text() != "\n".join(PACKAGES):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        marker.write_text("\n".join(PACKAGES))
    if pathlib.Path(sys.prefix) != VENV:
        os.execv(python, [str(python), *sys.argv])


def main():
    options = arguments()
    inside()
    from suite.tools import find_traefik
    from http3 import foreign, place, shapes

    traefik = find_traefik(options.traefik, ROOT / "target" / "differential" / "venv")
    first, last = map(int, options.ports.split("-"))
    with tempfile.TemporaryDirectory(prefix="portcullis-http3-") as folder:
        here = place.Place(pathlib.Path(folder), range(first, last + 1))
        try:
            ours = here.gateway("portcullis", str(pathlib.Path(options.portcullis).resolve()))
            theirs = here.gateway("traefik", traefik)
            failures = foreign.check(here, ours) + shapes.compare(here, ours, theirs, options.verbose)
        finally:
            here.close()
    for failure in failures:
        print(f"FAIL {failure}")
    print("all as expected" if not failures else f"{len(failures)} NOT AS EXPECTED")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
