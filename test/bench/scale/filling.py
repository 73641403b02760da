# SPDX-License-Identifier: Apache-2.0
"""filling.py - a manager with millions of queued tasks: its memory, its store, its restart, and a lease among them.

Bodies are random bytes. A batch that is enqueued is one of some prepared ones, so that the script takes little of the
cores that it shares with the manager; batches that are the same lie too far apart for the store's compression to see.
"""
import os
import threading
import time

import process_figures
import wire
from percentiles import summary

BATCH_TASKS = 1_000
PREPARED = 40  # batches
CONNECTIONS = 4
SAMPLES = 20
REST_SECONDS = 900
START_SECONDS = 900
RESULT = b"0" * 128


def counts(http):
    return http.get("/v1/cluster").json()["tasks"]


def require(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {found}, not {wanted}")


class Filler:
    """Enqueues `count` tasks over several connections."""

    def __init__(self, address, count, body_bytes):
        require("tasks modulo the size of a batch", count % BATCH_TASKS, 0)
        self.address = address
        self.batches = [wire.batch_of([os.urandom(body_bytes) for _ in range(BATCH_TASKS)]) for _ in range(PREPARED)]
        self.left = count // BATCH_TASKS
        self.lock = threading.Lock()
        self.failure = None

    def _take(self):
        with self.lock:
            self.left -= 1
            return self.left

    def _run(self):
        connection = wire.Connection(self.address)
        try:
            while (number := self._take()) >= 0 and self.failure is None:
                reply = connection.post("/v1/tasks:batch", self.batches[number % PREPARED])
                require("tasks in the answer", sum(1 for field, _ in wire.fields(reply) if field == 1), BATCH_TASKS)
        except Exception as error:  # noqa: BLE001  (shown by run(), on the thread that waits)
            self.failure = error
        finally:
            connection.close()

    def run(self, sample):
        """Calls sample(tasks enqueued so far, about) now and then. Gives the seconds that it took."""
        whole = self.left
        threads = [threading.Thread(target=self._run) for _ in range(CONNECTIONS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        shown = 0
        while any(thread.is_alive() for thread in threads):
            threads[0].join(process_figures.POLL_SECONDS)
            done = whole - max(self.left, 0)
            if done * SAMPLES // whole > shown:
                shown = done * SAMPLES // whole
                sample(done * BATCH_TASKS)
        for thread in threads:
            thread.join()
        if self.failure is not None:
            raise self.failure
        return time.monotonic() - began


def lease_latencies(address, count):
    """Seconds of an acquire of one task, and of its completion, one after the other over one connection."""
    connection = wire.Connection(address)
    worker = wire.register(connection, b"latency")
    acquired, completed = [], []
    for _ in range(count):
        began = time.perf_counter()
        tokens = wire.acquire(connection, worker, 1)
        leased = time.perf_counter()
        require("leases", len(tokens), 1)
        wire.complete(connection, worker, tokens, RESULT)
        completed.append(time.perf_counter() - leased)
        acquired.append(leased - began)
    connection.close()
    return {"acquire": summary(acquired), "complete": summary(completed)}


def restart(lab, manager, is_cold):
    """kill -9, then the same store again. Gives the new manager, and seconds since its start."""
    manager.kill()
    if is_cold:
        process_figures.forget_cached(manager.directory)
    began = time.monotonic()
    manager = lab.manager_not_ready(["--provisioner", "none"], directory=manager.directory)
    manager.ready(START_SECONDS)
    listening = time.monotonic() - began
    http = manager.http(timeout=START_SECONDS)
    require("GET /readyz", http.get("/readyz").status, 200)
    ready = time.monotonic() - began
    connection = wire.Connection(manager.address)
    tokens = wire.acquire(connection, wire.register(connection, b"first"), 1)
    leased = time.monotonic() - began
    require("leases after the restart", len(tokens), 1)
    connection.close()
    return manager, {"is_cold": is_cold, "listening_s": listening, "ready_s": ready, "first_lease_s": leased,
                     "memory": process_figures.memory(manager.pid)}


def measure(lab, count, body_bytes, latencies, say):
    manager = lab.manager(["--provisioner", "none"], directory=lab.path(f"store-{body_bytes}"))
    base = process_figures.memory(manager.pid)
    samples = []
    filler = Filler(manager.address, count, body_bytes)
    seconds = filler.run(lambda done: samples.append({"tasks": done, **process_figures.memory(manager.pid)}))
    out = {"tasks": count, "body_bytes": body_bytes, "base": base, "samples": samples, "fill_s": seconds,
           "fill_cpu_s": process_figures.cpu_seconds(manager.pid), "filled": process_figures.memory(manager.pid)}
    say(f"{count:,} tasks of {body_bytes} bytes in {seconds:.1f} s")
    http = manager.http(timeout=START_SECONDS)
    require("queued", counts(http).get("queued", 0), count)
    out["rest_s"] = process_figures.wait_for_rest(manager.pid, REST_SECONDS)
    out["settled"] = process_figures.memory(manager.pid)
    out["disk"] = process_figures.directory_bytes(manager.directory)
    out["latency"] = lease_latencies(manager.address, latencies)
    left = count - latencies
    require("queued after the leases", counts(http).get("queued", 0), left)
    out["restarts"] = []
    for is_cold in (False, True):
        manager, figures = restart(lab, manager, is_cold)
        out["restarts"].append(figures)
        say(f"restart: ready after {figures['ready_s']:.2f} s")
        tasks = counts(manager.http(timeout=START_SECONDS))
        # The lease that it gave is soft: a manager that is killed may forget it.
        require("unfinished", tasks.get("queued", 0) + tasks.get("leased", 0), left)
        require("done", tasks.get("done", 0), latencies)
    out["disk_after"] = process_figures.directory_bytes(manager.directory)
    manager.kill()
    return out
