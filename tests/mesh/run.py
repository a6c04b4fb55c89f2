#!/usr/bin/env python3
"""Acceptance tests of the mesh in a lab of network namespaces: two nodes, an edge, workloads. Needs root."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = ROOT / "target" / "mesh"
PACKAGES = ("h2==4.4.1", "cryptography==48.0.0")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portcullis", required=True, help="the binary")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs behind")
    parser.add_argument("tests", nargs="*", help="numbers of tests, such as 1.1; all without any")
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
    from lab import tests
    from lab.place import Place

    if os.geteuid() != 0:
        print("the lab makes network namespaces and needs root")
        return 2
    chosen = [test for test in tests.ALL if not options.tests or test.number in options.tests]
    folder = tempfile.mkdtemp(prefix="portcullis-mesh-")
    failures = 0
    with Place(pathlib.Path(folder), pathlib.Path(options.portcullis).resolve()) as place:
        for test in chosen:
            try:
                said = test.run(place)
                print(f"ok   {test.number} {test.name}{': ' + said if said else ''}", flush=True)
            except Exception as error:  # each test stands for itself
                failures += 1
                print(f"FAIL {test.number} {test.name}: {error!r}", flush=True)
                traceback.print_exc()
    if options.keep or failures:
        print(f"logs are in {folder}")
    else:
        subprocess.run(["rm", "-r", folder], check=True)
    print("all as expected" if not failures else f"{failures} NOT AS EXPECTED")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
