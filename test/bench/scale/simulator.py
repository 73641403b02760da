# SPDX-License-Identifier: Apache-2.0
"""simulator.py - scale_bench, the program that plays thousands of workers and clients, and what it measured.

Threads: one.
"""
import array
import json
import os
import resource
import subprocess
import time

import machine
import process_figures
from percentiles import summary

PROGRAM = os.environ.get("SKEP_SCALE_BENCH_BIN") or os.path.join(machine.ROOT, "build-bench", "scale_bench")
OPEN_FILES = 1 << 17
SEED = 20_260_101
WHO = ("manager", "simulator", "others")  # a Meter of the first two says of all three


def raise_open_files():
    """For what is started from here on; only root may go beyond the hard limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Simulator:
    def __init__(self, address, seed=SEED):
        self.popen = subprocess.Popen([PROGRAM, address, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.popen.pid

    def ask(self, request):
        self.tell(request)
        return self.hear(request)

    def tell(self, request):
        self.popen.stdin.write(request + "\n")
        self.popen.stdin.flush()

    def hear(self, request):
        line = self.popen.stdout.readline()
        if not line:
            raise AssertionError(f"scale_bench has ended in '{request}'")
        return json.loads(line)

    def open_load(self, lab, spacing, rate, seconds, connections, batch, body_bytes):
        """Its answer, and the times of each task, in seconds from when it was to arrive."""
        path = lab.path("times")
        answer = self.ask(f"open {spacing} {rate} {seconds} {connections} {batch} {body_bytes} {path}")
        times = array.array("q")
        with open(path, "rb") as file:
            times.frombytes(file.read())
        if len(times) != 4 * answer["tasks"]:
            raise AssertionError(f"{len(times)} times of {answer['tasks']} tasks")
        return {**answer, **from_arrival(times), "last_arrival_s": times[-4] / 1e9}

    def close(self):
        self.popen.stdin.close()
        self.popen.wait()
        self.popen.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def from_arrival(times):
    """Of rows of four instants: how long after the first the others were."""
    out = {}
    for place, name in ((1, "sent"), (2, "stored"), (3, "leased")):
        out[name] = summary([(then - at) / 1e9 for at, then in zip(times[0::4], times[place::4])])
    return out


class Meter:
    """Cores that processes have used since it was made, and all others together: they were not there for these."""

    def __init__(self, **pids):
        self.pids = pids
        self.began = time.monotonic()
        self.before = self._seconds()

    def _seconds(self):
        seconds = {name: process_figures.cpu_seconds(pid) for name, pid in self.pids.items()}
        return {**seconds, "others": process_figures.busy_seconds() - sum(seconds.values())}

    def read(self):
        span = time.monotonic() - self.began
        return {name: max(0.0, seconds - self.before[name]) / span for name, seconds in self._seconds().items()}
