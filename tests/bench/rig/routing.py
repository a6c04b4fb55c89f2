"""Dynamic configurations in TOML: routers in the mixes that the figures ask for, their services, the TLS options."""

DOMAIN = "bench.test"


def one_in_many(count, servers, https, middlewares=""):
    """`count` routers by host and path prefix. The one in the middle is the one that is asked; see `target`."""
    lines = []
    for number in range(count):
        lines += router(f"r{number}", f"Host(`h{number}.{DOMAIN}`) && PathPrefix(`/r{number}`)", middlewares=middlewares)
        if https:
            lines += router(f"s{number}", f"Host(`h{number}.{DOMAIN}`) && PathPrefix(`/r{number}`)", "websecure", middlewares)
    return "\n".join(lines + service(servers)) + "\n"


def target(count):
    """Host and path below which the back end answers, for the middle one of `count` routers."""
    return f"h{count // 2}.{DOMAIN}", f"/r{count // 2}"


def ten_thousand(servers):
    """8,000 by host and path, 1,500 by wildcard host, 400 by path only, 100 by regular expression."""
    lines = []
    for number in range(8_000):
        lines += router(f"host{number}", f"Host(`h{number}.{DOMAIN}`) && PathPrefix(`/r{number}`)")
    for number in range(1_500):
        lines += router(f"wild{number}", f"Host(`*.w{number}.{DOMAIN}`)")
    for number in range(400):
        lines += router(f"path{number}", f"PathPrefix(`/only{number}/`)")
    for number in range(100):
        lines += router(f"regex{number}", f"HostRegexp(`^x{number}-[a-z]+\\.regex\\.test$`)")
    return "\n".join(lines + service(servers)) + "\n"


# What is asked of the ten thousand: name -> (host, path); no router takes the last ones.
TEN_THOUSAND = {
    "first host": (f"h0.{DOMAIN}", "/r0/small"),
    "last host": (f"h7999.{DOMAIN}", "/r7999/small"),
    "last wildcard": (f"a.w1499.{DOMAIN}", "/small"),
    "last path": ("other.test", "/only399/small"),
    "last regular expression": ("x99-abc.regex.test", "/small"),
}
MISSED = {
    "missed host": ("nobody.test", "/small"),
    "missed path": (f"h7999.{DOMAIN}", "/elsewhere"),
}


def router(name, rule, entry_point="web", middlewares=""):
    lines = [
        f"[http.routers.{name}]",
        f"rule = '{rule}'",
        f"entryPoints = ['{entry_point}']",
        "service = 'backend'",
    ]
    if middlewares:
        lines.append(f"middlewares = [{middlewares}]")
    if entry_point == "websecure":
        lines.append(f"[http.routers.{name}.tls]")
    return lines


def service(ports):
    lines = ["[http.services.backend.loadBalancer]"]
    for port in ports:
        lines += ["[[http.services.backend.loadBalancer.servers]]", f"url = 'http://127.0.0.1:{port}'"]
    return lines


def tls(place, group):
    """The certificate of the run as the default one, and the agreed version and group."""
    return f"""
[tls.stores.default.defaultCertificate]
certFile = '{place.chain}'
keyFile = '{place.key}'
[tls.options.default]
minVersion = 'VersionTLS13'
curvePreferences = ['{group}']
"""
