"""CPU time per request under the usual shapes of load, Portcullis beside its peers in the same run."""

from statistics import median

from . import load, proxies, routing

ROUTERS = 100
WARM_UP = 1
ACCESS_LOG = "[accessLog]\nfilePath = '{path}'\n"

# name -> (kind of load, path below the router's prefix, title)
SHAPES = {
    "h1": ("h1", "small", "HTTP/1.1, 50 connections, small answers"),
    "h1-tls": ("tls", "small", "HTTP/1.1 over TLS 1.3, 50 connections, small answers"),
    "h2": ("h2", "small", "HTTP/2 over TLS 1.3, 10 connections of 10 streams, small answers"),
    "handshake": ("handshake", "small", "full TLS 1.3 handshake and one request each, 50 at a time"),
    "large": ("tls", "large", "100 KB answers over TLS 1.3, 50 connections"),
    "access-log": ("h1", "small", "HTTP/1.1 without and with access log"),
}

# (shape, peer, most that Portcullis may cost, as a multiple of the peer's cost)
FLOORS = [
    ("h1", "nginx", 1.15),
    ("h1", "traefik", 0.35),
    ("h1-tls", "haproxy", 1.0),
    ("h2", "haproxy", 1.6),
    ("h2", "traefik", 0.25),
    ("handshake", "nginx", 1.0),
    ("large", "nginx", 0.7),
]
LOGGING_FLOOR = 1.10


class Cost:
    """CPU time of one proxy, round by round."""

    def __init__(self):
        self.rounds = []
        self.requests = 0
        self.failed = 0

    def add(self, user, system, counted):
        requests = max(counted.requests, 1)
        self.rounds.append((user / requests, system / requests, counted.requests / counted.seconds))
        self.requests += counted.requests
        self.failed += counted.failed

    @property
    def each(self):
        """Microseconds per request, the median of the rounds."""
        return median(user + system for user, system, _ in self.rounds) * 1e6

    def row(self, name):
        user, _, rate = (median(column) for column in zip(*self.rounds, strict=True))
        totals = [(user + system) * 1e6 for user, system, _ in self.rounds]
        return (
            name, f"{self.each:.1f}", f"{user * 1e6:.1f}", f"{min(totals):.1f}-{max(totals):.1f}", f"{rate:.0f}",
            self.requests, self.failed,
        )  # fmt: skip


HEAD = ("proxy", "us/request", "of it user", "range", "requests/s", "requests", "failed")


def compare(place, peers, loads, rounds, missing=False):
    """Interleaved rounds, A-B-C-A-B-C; name -> cost. `loads` is one load for all, or one for each name.

    With `missing`, the answers are to be 404.
    """
    costs = {proxy_name: Cost() for proxy_name in peers}
    for number in range(-1, rounds):
        for name, proxy in peers.items():
            one = loads[name] if isinstance(loads, dict) else loads
            if number < 0:
                one = load.Load(**{**vars(one), "seconds": WARM_UP})
            before = proxy.process.cpu()
            counted = load.run(place, one, proxy, missing)
            after = proxy.process.cpu()
            if number >= 0:
                costs[name].add(after[0] - before[0], after[1] - before[1], counted)
    return costs


def measure(place, report, wanted):
    """The shapes named in `wanted`, all with the same set of running proxies."""
    back_end, server = proxies.backend(place, load.LOAD_CORE)
    text = routing.one_in_many(ROUTERS, [back_end], https=True)
    peers = {
        "nginx": proxies.nginx(place, back_end),
        "haproxy": proxies.haproxy(place, back_end),
        "traefik": proxies.traefik(place, text),
        "portcullis": proxies.portcullis(place, text),
    }
    logging = proxies.portcullis(
        place, text, "portcullis with log", ACCESS_LOG.format(path=place.folder / "access.log")
    ) if "access-log" in wanted else None  # fmt: skip
    host, prefix = routing.target(ROUTERS)
    for proxy in [*peers.values(), *([logging] if logging else [])]:
        proxy.wait_ready(host, f"{prefix}/small")
    for name in wanted:
        kind, path, title = SHAPES[name]
        one = load.Load(kind, host, f"{prefix}/{path}", place.options.seconds)
        if name == "access-log":
            among = {"portcullis": peers["portcullis"], "with access log": logging}
        else:
            among = peers
        costs = compare(place, among, one, place.options.rounds)
        report.table(f"{name}: {title}", HEAD, [cost.row(proxy) for proxy, cost in costs.items()])
        judge(report, name, costs)
    for proxy in [*peers.values(), *([logging] if logging else [])]:
        place.end(proxy.process)
    place.end(server)


def judge(report, name, costs):
    ours = costs["portcullis"]
    if name == "access-log":
        logged = costs["with access log"]
        report.floor("access-log: with / without", logged.each / ours.each, LOGGING_FLOOR, " x")
    for shape, peer, most in FLOORS:
        if shape == name:
            report.floor(f"{name}: portcullis / {peer}", ours.each / costs[peer].each, most, " x")
    report.floor(f"{name}: failed requests", ours.failed, 0)
