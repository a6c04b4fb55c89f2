#!/usr/bin/env python3
"""Measures Portcullis beside nginx, HAProxy and Traefik, and checks the figures against their floors."""

import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "tests" / "differential"))

from rig import failover, h3, memory, reload, scale, shapes, sigterm, streams, upgrade  # noqa: E402
from rig.place import Place  # noqa: E402
from rig.report import Report  # noqa: E402
from suite.tools import find_caddy, find_traefik  # noqa: E402

SECTIONS = {
    "h3": h3.measure,
    "scale": scale.measure,
    "memory": memory.measure,
    "reload": reload.measure,
    "sigterm": sigterm.measure,
    "upgrade": upgrade.measure,
    "failover": failover.measure,
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*shapes.SHAPES, *streams.SHAPES, *SECTIONS]
    parser.add_argument("--only", help=f"comma-separated parts, of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each shape and proxy; the median counts")
    parser.add_argument("--seconds", type=int, default=5, help="length of a round")
    parser.add_argument("--portcullis", help="the binary; built with `cargo build --release` when not given")
    parser.add_argument("--traefik", help="the binary; found on PATH or installed when not given")
    parser.add_argument("--h3load", help="the load generator for `h3`; built when not given")
    parser.add_argument("--ports", default="23000-23099", help="range of ports to use")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else names
    if unknown := set(options.parts) - set(names):
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    return options


def build(*what):
    """Build the gateway, or something else of the package; where it is."""
    subprocess.run(["cargo", "build", "--release", *what], cwd=ROOT, check=True)
    return str(pathlib.Path(ROOT, "target", "release", *("examples", *what[1:]) if what else ("portcullis",)))


def main():
    options = arguments()
    binaries = {
        "portcullis": str(pathlib.Path(options.portcullis).resolve()) if options.portcullis else build(),
        "traefik": find_traefik(options.traefik, ROOT / "target" / "bench"),
    }
    first, last = map(int, options.ports.split("-"))
    if "h3" in options.parts:
        binaries["caddy"] = find_caddy(ROOT / "target" / "bench")
        binaries["h3load"] = options.h3load or build("--example", "h3load")
    place, report = Place((first, last), options, binaries), Report()
    try:
        wanted = [name for name in shapes.SHAPES if name in options.parts]
        if wanted:
            shapes.measure(place, report, wanted)
        wanted = [name for name in streams.SHAPES if name in options.parts]
        if wanted:
            streams.measure(place, report, wanted)
        for name, measure in SECTIONS.items():
            if name in options.parts:
                measure(place, report)
    finally:
        place.close()
    report.summary()
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
