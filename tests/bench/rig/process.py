"""A process under measurement: started on one core, its CPU time and memory read from /proc, ended by its id."""

import os
import pathlib
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """A running program and everything it started."""

    def __init__(self, name, command, folder, core, environment=None):
        self.name = name
        self.log = folder / f"{name}.log"
        pinned = ["taskset", "-c", str(core)]
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                [*pinned, *map(str, command)],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})},
            )  # fmt: skip

    @property
    def pid(self):
        return self.popen.pid

    def tree(self):
        """The process and its descendants."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, children.read_text().split())
        return found

    def cpu(self):
        """Seconds spent so far by the whole tree, as (user, system)."""
        user = system = 0
        for pid in self.tree():
            # The name, in parentheses, may hold spaces: fields are counted after it.
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11])
            system += int(fields[12])
        return user / TICK, system / TICK

    def resident(self):
        """Resident memory of the whole tree, in KiB."""
        total = 0
        for pid in self.tree():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total

    def alive(self):
        return self.popen.poll() is None

    def terminate(self):
        self.popen.send_signal(signal.SIGTERM)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """End it: politely, then by force."""
        if not self.alive():
            return
        self.terminate()
        try:
            self.popen.wait(3)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:]


def wait_until(condition, what, seconds=30.0, every=0.02):
    """Wait for a condition; what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(every)
    raise RuntimeError(f"gave up waiting {seconds:.0f} s for {what}")
