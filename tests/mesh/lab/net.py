"""Network namespaces: a switch, the nodes behind it, and workloads behind the nodes. Nothing leads outside."""

import json
import subprocess

PREFIX = "pcmesh-"
NODES = {"n1": "10.77.0.11", "n2": "10.77.0.12", "edge": "10.77.0.13"}
WORKLOADS = {
    "n1a": ("n1", "10.77.1.2"), "n1b": ("n1", "10.77.1.3"),
    "n2w": ("n2", "10.77.2.2"), "n2x": ("n2", "10.77.2.3"),
}  # fmt: skip


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def name(short):
    return PREFIX + short


def inside(short, *words):
    """The command `words` in a namespace."""
    return ["ip", "netns", "exec", name(short), *words]


def up():
    down()
    for short in ("sw", *NODES, *WORKLOADS):
        run("ip", "netns", "add", name(short))
        run(*inside(short, "ip", "link", "set", "lo", "up"))
    bridge("sw", None)
    for node, address in NODES.items():
        plug("sw", node, "up0", f"{address}/24")
    for node, gateway in (("n1", "10.77.1.1/24"), ("n2", "10.77.2.1/24")):
        bridge(node, gateway)
    for workload, (node, address) in WORKLOADS.items():
        plug(node, workload, "eth0", f"{address}/24")


def bridge(short, address):
    run(*inside(short, "ip", "link", "add", "br0", "type", "bridge"))
    run(*inside(short, "ip", "link", "set", "br0", "up"))
    if address:
        run(*inside(short, "ip", "address", "add", address, "dev", "br0"))


def plug(switch, short, device, address):
    """A cable from the bridge of one namespace to another."""
    run("ip", "link", "add", device, "netns", name(short), "type", "veth", "peer", "name", f"to-{short}", "netns", name(switch))
    run(*inside(switch, "ip", "link", "set", f"to-{short}", "master", "br0", "up"))
    run(*inside(short, "ip", "address", "add", address, "dev", device))
    run(*inside(short, "ip", "link", "set", device, "up"))


def down():
    """Takes away what this lab has made, also what an earlier run left."""
    listed = json.loads(run("ip", "-json", "netns", "list") or "[]")
    for entry in listed:
        if entry["name"].startswith(PREFIX):
            run("ip", "netns", "delete", entry["name"], check=False)
