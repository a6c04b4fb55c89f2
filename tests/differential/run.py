#!/usr/bin/env python3
"""Drives the same requests through a real Traefik and through Portcullis and compares what came of them."""

import argparse
import json
import pathlib
import shutil
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target" / "differential"
sys.path.insert(0, str(HERE))

from suite.tools import find_h2, find_traefik  # noqa: E402

find_h2(TARGET / "venv")

from suite.certificates import Certificates  # noqa: E402
from suite.compare import Differences, summary  # noqa: E402
from suite.groups import load  # noqa: E402
from suite.ports import Ports  # noqa: E402
from suite.session import Session, nothing_listed  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portcullis", required=True, help="the Portcullis binary (a Traefik binary checks the suite)")
    parser.add_argument("--traefik", help="the Traefik binary; found on PATH or installed when not given")
    parser.add_argument("--only", help="a folder, group or case, as printed")
    parser.add_argument("--workers", type=int, default=4, help="groups driven at the same time")
    parser.add_argument("--ports", default="22000-31999", help="range of ports to use")
    parser.add_argument("--mutate", action="store_true", help="switch each feature off; its cases must then fail")
    parser.add_argument("--without-list", action="store_true", help="ignore differences.toml: show every difference")
    parser.add_argument("--show", action="store_true", help="print what each case made Traefik do, in short")
    parser.add_argument("-v", "--verbose", action="store_true", help="print passing cases and full observations")
    return parser.parse_args()


def run_group(group, tools, variant):
    """Results of one group, or the reason why it could not be run."""
    session = Session(group, tools["binaries"], tools["ports"], tools["certificates"], tools["folder"])
    try:
        session.open(variant)
        time.sleep(group.settle)
        return session.run(tools["differences"]), None
    except Exception:  # noqa: BLE001 - whatever went wrong belongs in the report of this group.
        return [], traceback.format_exc()
    finally:
        session.close()


def report(results, options):
    """Print the failing cases (all with -v)."""
    for result in results:
        if result.complaints:
            print(f"FAIL {result.name}")
            for complaint in result.complaints:
                print(f"     {complaint}")
            if options.verbose:
                for side, observation in result.observations.items():
                    print(f"     {side}: {json.dumps(observation, indent=1)}")
        elif options.verbose or options.show:
            print(f"{'diff' if result.listed else 'same'} {result.name} ({result.seconds:.1f} s)")
        if options.show:
            print("\n".join(f"     {line}" for line in summary(result.observations["traefik"])))


def run_without(group, tools):
    """The group with its feature off, in every way it has: the results that passed each time."""
    surviving, counted = None, []
    for variant in group.variants():
        results, error = run_group(group, tools, variant)
        if error:
            return results, error
        passed = [result for result in results if not result.complaints]
        names = {result.name for result in passed}
        surviving = passed if surviving is None else [result for result in surviving if result.name in names]
        counted = results
    controls = {f"{group.name}/{case['name']}" for case in group.cases if case.get("control")}
    for result in counted:
        # What the proxy engine refuses by itself, before any router is asked, no configuration switches off.
        listed = tools["differences"].expected(result.name).get("requests")
        unseen = listed == {} or not result.observations["traefik"].get("requests")
        refused = unseen and group.feature.startswith("proxy.")
        alive = any(result.name == other.name for other in surviving) and result.name not in controls and not refused
        result.complaints = [f"passes with {group.feature} switched off"] if alive else []
    return counted, None


def main():
    options = arguments()
    started = time.monotonic()
    groups = load(HERE / "cases", options.only)
    if not groups:
        raise SystemExit(f"no case matches {options.only!r}")
    folder = TARGET / "run"
    shutil.rmtree(folder, ignore_errors=True)
    first, last = map(int, options.ports.split("-"))
    plain = options.without_list
    tools = {
        "binaries": {
            "traefik": find_traefik(options.traefik, TARGET / "venv"),
            "portcullis": str(pathlib.Path(options.portcullis).resolve()),
        },
        "ports": Ports(first, last),
        "certificates": Certificates(folder / "certificates"),
        "differences": nothing_listed() if plain else Differences(HERE / "differences.toml"),
        "folder": folder,
    }
    failed, counts = 0, Counter()
    with ThreadPoolExecutor(options.workers) as pool:
        play = run_without if options.mutate else lambda group, tools: run_group(group, tools, None)
        runs = pool.map(lambda group: (group, *play(group, tools)), groups)
        for group, results, error in runs:
            counts[group.feature] += len(results)
            failed += bool(error) + sum(bool(result.complaints) for result in results)
            report(results, options)
            if error:
                print(f"FAIL {group.name}: the group could not be run\n{error}")
    for feature, count in sorted(counts.items()):
        print(f"{count:5} {feature}")
    verdict = "all as expected" if not failed else f"{failed} NOT AS EXPECTED"
    print(f"{sum(counts.values())} cases in {len(groups)} groups, {verdict}, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
