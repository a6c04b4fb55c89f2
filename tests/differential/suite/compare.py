"""Comparing two observations, and the differences that are meant to be there."""

import hashlib
import json
import tomllib
from collections import Counter


def shape(observation, case, farm):
    """The form in which a case wants to be compared: exact, with servers renamed, or only how often each was used."""
    how = case.get("compare", "exact")
    if how == "exact":
        return observation
    if how == "relabel":
        return relabel(observation, farm)
    counts = Counter()
    for response in observation["responses"]:
        said = response.get("line", "nobody").split(" ")[0]
        server = response.get("headers", {}).get("x-server", [said])[0]
        counts[f"{response.get('status', 'missing')} by {server}"] += 1
    if how == "spread":
        return {"answers": dict(sorted(counts.items()))}
    if how == "even":
        return {"times": sorted(counts.values())}
    if how == "set":
        return {"answers": sorted(counts)}
    if how == "statuses":
        return {"statuses": [response.get("status", "missing") for response in observation["responses"]]}
    if how == "favourite":
        return {"favourite": counts.most_common(1)[0][0]}
    raise SystemExit(f"{case['name']}: unknown comparison {how!r}")


def relabel(observation, farm):
    """Rename servers by the order in which they answered, since the first choice is chance."""
    names = [r.get("headers", {}).get("x-server", [None])[0] for r in observation["responses"]]
    order = list(dict.fromkeys(name for name in names if name))
    order += [name for name in sorted(farm.backends) if name not in order]
    dumped = json.dumps(observation)
    for index, name in enumerate(order):
        address = farm.backends[name]
        cookie = hashlib.sha256(f"http://{address}".encode()).hexdigest()[:16]
        for old in (cookie, address, f'"{name}"', f'"{name} ', name + "@file"):
            dumped = dumped.replace(old, old.replace(name, f"server-{index}") if name in old else f"server-{index}")
    return json.loads(dumped)


def differing(left, right, path=""):
    """Paths where two trees differ, with both values (None where one has nothing)."""
    if left == right:
        return {}
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted({**left, **right})
        parts = [(key, left.get(key), right.get(key)) for key in keys]
    elif of_tables(left) and of_tables(right):
        longest = max(len(left), len(right))
        sides = [[*side, *[None] * (longest - len(side))] for side in (left, right)]
        parts = [(str(index), *pair) for index, pair in enumerate(zip(*sides))]
    else:
        return {path: (left, right)}
    found = {}
    for key, a, b in parts:
        found |= differing(a, b, f"{path}.{key}" if path else key)
    return found


def of_tables(value):
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


class Differences:
    """The list of differences that are there on purpose."""

    def __init__(self, path):
        self.by_case = {}
        for entry in tomllib.loads(path.read_text()).get("difference", []) if path.exists() else []:
            for case in entry["cases"]:
                if case in self.by_case:
                    raise SystemExit(f"{path.name}: {case} is listed twice")
                self.by_case[case] = entry

    def expected(self, name):
        """What is listed for one case."""
        return self.by_case.get(name, {}).get("expect", {})

    def judge(self, name, reference, candidate):
        """Complaints about one case: unexpected differences, or a listed one that is not there as listed."""
        found = differing(reference, candidate)
        entry = self.by_case.get(name)
        if entry is None:
            return [f"{path}: traefik {show(a)}, portcullis {show(b)}" for path, (a, b) in found.items()]
        expected, covered = entry["expect"], (*entry["expect"], *entry.get("covers", []))
        complaints = []
        for path, (a, b) in found.items():
            if not any(path == prefix or path.startswith(prefix + ".") for prefix in covered):
                complaints.append(f"{path}: traefik {show(a)}, portcullis {show(b)} (beyond the listed difference)")
        for path, value in expected.items():
            actual = lookup(candidate, path)
            if actual != (None if value == "<absent>" else value):
                complaints.append(f"{path}: portcullis {show(actual)}, listed as {show(value)}")
        # Where Traefik itself answers one way now and the other way then, its answer may be ours this time.
        if not found and not entry.get("varies"):
            complaints.append("listed as a difference, but there is none any more")
        return complaints


def lookup(tree, path):
    """The value at a dotted path; where a key itself holds dots the longest match wins."""
    if not path:
        return tree
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        key = ".".join(parts[:end])
        if isinstance(tree, dict) and key in tree:
            return lookup(tree[key], ".".join(parts[end:]))
    if isinstance(tree, list) and parts[0].isdigit() and int(parts[0]) < len(tree):
        return lookup(tree[int(parts[0])], ".".join(parts[1:]))
    return None


def show(value):
    """A value in one line of bearable length."""
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:160] + "..."


def summary(observation):
    """A few lines that say what happened: for the author of a case."""
    usual = ("host", "user-agent", "accept-encoding", "date", "content-length", "x-server")
    forwarded = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "x-forwarded-proto", "x-forwarded-port", "x-real-ip")
    for response in observation.get("responses", []):
        if "line" in response:
            yield f"< {response['line']!r}"
            continue
        headers = {k: v for k, v in response.get("headers", {}).items() if k not in usual}
        rest = {k: response[k] for k in ("interim", "trailers", "missing") if response.get(k)}
        yield f"< {response.get('status')} {response.get('body', '')!r} {headers} {rest or ''}"
    for name, requests in observation.get("requests", {}).items():
        for request in requests:
            headers = {k: v for k, v in request["headers"].items() if k not in usual + forwarded}
            host = request["headers"].get("host")
            rest = {k: v for k, v in request.items() if v and k not in ("headers", "version", "method", "target")}
            yield f"> {name}: {request['method']} {request['target']} {host} {headers} {rest or ''}"
    yield str({key: value for key, value in observation.items() if key not in ("responses", "requests")})
