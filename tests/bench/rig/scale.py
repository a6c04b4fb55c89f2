"""Ten thousand routers: CPU time to compile them, memory, and what a request costs beside a gateway with ten."""

import time
from statistics import median

from . import load, proxies, routing, shapes
from .process import wait_until

FEW = 10
STARTS = 5
COMPILE_FLOOR = 300  # milliseconds of CPU
RESIDENT_FLOOR = 80  # MiB
REQUEST_FLOOR = 1.05


def measure(place, report):
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    many_text = routing.ten_thousand([back_end])
    few_text = routing.one_in_many(FEW, [back_end], https=False)
    measure_start(place, report, {"many": many_text, "few": few_text})
    many = proxies.portcullis(place, many_text, "many routers")
    few = proxies.portcullis(place, few_text, "few routers")
    few.wait_ready(*target(FEW))
    for asked in routing.TEN_THOUSAND.values():
        many.wait_ready(*asked)
    measure_requests(place, report, many, few)
    report.floor("scale: resident memory with 10,000 routers", many.process.resident() / 1024, RESIDENT_FLOOR, " MiB")
    for process in (many.process, few.process, server):
        place.end(process)


def target(count):
    host, prefix = routing.target(count)
    return host, f"{prefix}/small"


def measure_start(place, report, texts):
    """CPU time from the start until the last router answers, less what a gateway with ten routers needs.

    Reading the file is part of it: it is more than the compilation alone, never less.
    """
    spent = {}
    last = {"many": routing.TEN_THOUSAND["last host"], "few": target(FEW)}
    for _ in range(STARTS):
        for name, text in texts.items():
            proxy = proxies.portcullis(place, text, "starting")
            proxy.wait_ready(*last[name])
            wait_until(lambda running=proxy.process: quiet(running), "the start to be over")
            spent.setdefault(name, []).append(sum(proxy.process.cpu()) * 1000)
            place.end(proxy.process)
    needed = median(spent["many"]) - median(spent["few"])
    report.floor("scale: reading and compiling 10,000 routers", needed, COMPILE_FLOOR, " ms")


def quiet(process):
    """Whether the process used no CPU for a moment."""
    before = process.cpu()
    time.sleep(0.3)
    return process.cpu() == before


def measure_requests(place, report, many, few):
    """Each kind of hit, and the misses, beside a hit or a miss among ten."""
    seconds = place.options.seconds
    rows, worst = [], {}
    for kind, asked in [*routing.TEN_THOUSAND.items(), *routing.MISSED.items()]:
        missing = kind in routing.MISSED
        few_asked = ("nobody.test", "/small") if missing else target(FEW)
        loads = {"ten": load.Load("h1", *few_asked, seconds), kind: load.Load("h1", *asked, seconds)}
        costs = shapes.compare(place, {"ten": few, kind: many}, loads, place.options.rounds, missing)
        ratio = costs[kind].each / costs["ten"].each
        rows.append((kind, f"{costs[kind].each:.1f}", f"{costs['ten'].each:.1f}", f"{ratio:.3f}", costs[kind].failed))
        worst[kind] = ratio
    report.table("scale: one of 10,000 routers", ("asked", "us/request", "with ten", "ratio", "failed"), rows)
    for kind, ratio in worst.items():
        report.floor(f"scale: {kind} of 10,000 / of ten", ratio, REQUEST_FLOOR, " x")
