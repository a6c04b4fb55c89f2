"""Driving one case through one gateway: the observation is all that the client and the back ends saw."""

import socket
import time

from . import stream
from .client import Connection, bytes_of
from .wire import values

# Response headers whose values depend on the moment.
MOVING = ("date", "x-retry-in")
HOSTNAME = socket.gethostname()


def drive(case, group, gateway, farm, entry_points, certificates):
    """Play the case and return what was observed as a tree of plain values."""
    farm.begin(plans(case))
    connections, responses, streams, datagrams = {}, [], [], {}
    try:
        for step in steps(case):
            if "datagram" in step:
                time.sleep(step.get("wait", 0))
                address = (gateway.ip, entry_points[step.get("entry", group.entry)])
                responses.append(stream.ask(step, address, datagrams))
            else:
                play(step, case, group, gateway, (farm, entry_points, certificates), connections, responses, streams)
        farm.wait_idle(3)
        time.sleep(case.get("settle", 0))
        farm.wait_idle(3)
        states = {name: connection.state() for name, connection in connections.items()}
        tls = {name: connection.tls for name, connection in connections.items() if connection.tls}
    finally:
        for connection in [*connections.values(), *datagrams.values()]:
            connection.close()
    farm.wait_silent(3)
    with farm.lock:
        seen, heard = list(farm.seen), dict(farm.heard)
    observation = {"responses": responses, "connections": states, "requests": by_backend(seen, case)}
    if tls:
        observation["tls"] = tls
    if heard:
        observation["heard"] = {name: sorted(records, key=repr) for name, records in sorted(heard.items())}
    if streams:
        observation["streams"] = streams
    if "checks" in case:
        observation["checks"] = checks(case["checks"], gateway, farm)
    return observation


def plans(case):
    """The answers of the back ends: one table, a list of tables in turn, or one of these for each back end."""
    given = case.get("answer", {})
    named = case.get("answers", {})
    return {name: plan if isinstance(plan, list) else [plan] for name, plan in {"*": given, **named}.items()}


def steps(case):
    """The steps of a case; a case without steps is one step itself, `repeat` times."""
    inherited = {key: case[key] for key in ("entry", "tls", "host", "from", "preface", "headers", "http2", "postgres") if key in case}
    for _ in range(case.get("repeat", 1)):
        for step in case.get("steps", [case]):
            merged = inherited | step
            if case.get("fresh"):
                merged["fresh"] = True
            yield merged


def play(step, case, group, gateway, parts, connections, responses, streams):
    """Play one step on its connection."""
    farm, entry_points, certificates = parts
    if "wait" in step:
        time.sleep(step["wait"])
    if "wait_seen" in step:
        farm.wait_seen(step["wait_seen"], 5)
    if "health" in step:
        farm.health.update(step["health"])
    if not {"raw", "request", "read", "read_bytes", "close", "talk"} & set(step):
        return
    name = step.get("on", "main")
    if step.get("fresh") and name in connections:
        connections.pop(name).close()
    if name not in connections:
        address = (gateway.ip, entry_points[step.get("entry", group.entry)])
        connections[name] = Connection(address, step, certificates)
    connection = connections[name]
    if step.get("cookies"):
        step = step | {"headers": [*step.get("headers", []), *cookies(responses)]}
    defaults = {"host": case.get("host", group.host)}
    if "talk" in step:
        received = connection.talk(step["talk"])
    elif step.get("http2"):
        received = connection.exchange_stream(step, defaults)
    else:
        received = connection.exchange(bytes_of(step, defaults), step)
    responses.extend(clean(response) for response in received)
    if "read_bytes" in step:
        streams.append(connection.read_bytes(step["read_bytes"]))
    if "close" in step:
        connections.pop(name).close()


def cookies(responses):
    """The Cookie line that a browser would send after these responses."""
    jar = {}
    for response in responses:
        for value in response.get("headers", {}).get("set-cookie", []):
            pair = value.split(";")[0]
            jar[pair.split("=")[0]] = pair
    return [f"Cookie: {'; '.join(jar.values())}"] if jar else []


def by_name(pairs):
    """Header lines as a table of lists: names without regard to case, values exact and in order."""
    table = {}
    for name, _ in pairs:
        table[name.lower()] = values(pairs, name.lower())
    if "trailer" in table:
        # The order in which Go announces trailers is chance.
        table["trailer"] = sorted(", ".join(table["trailer"]).split(", "))
    return dict(sorted(table.items()))


def clean(response):
    """A response without what no two runs share."""
    if "missing" in response or "line" in response:
        return response
    headers = by_name(response["headers"])
    for name in MOVING:
        if name in headers:
            headers[name] = ["<moving>"] * len(headers[name])
    interim = [{"status": i["status"], "headers": by_name(i["headers"])} for i in response["interim"]]
    return response | {"headers": headers, "trailers": by_name(response["trailers"]), "interim": interim}


def by_backend(seen, case):
    """What the back ends saw, by back end (the order between two back ends is chance).

    Requests that were cut short are left out: whether the beginning of one gets through is a matter of microseconds.
    """
    table = {}
    for name, request in seen:
        if request.get("cut_short"):
            continue
        headers = by_name(request["headers"])
        if headers.get("x-forwarded-server") == [HOSTNAME]:
            headers["x-forwarded-server"] = ["<hostname>"]
        tidy = request | {"headers": headers}
        if "trailers" in request:
            tidy["trailers"] = by_name(request["trailers"])
        table.setdefault(name, []).append(tidy)
    if case.get("unordered"):
        for requests in table.values():
            requests.sort(key=repr)
    return table


def checks(path, gateway, farm):
    """The health checks that the back ends got from this gateway."""
    target = path.replace("<side>", gateway.side)
    with farm.lock:
        found = dict(farm.checks.get(target, {}))
    return {name: {"method": r["method"], "headers": by_name(r["headers"])} for name, r in sorted(found.items())}
