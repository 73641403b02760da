# SPDX-License-Identifier: Apache-2.0
"""soak.py - millions of tasks pass through a manager while one lives for ever: does its store stay small?

Tasks are enqueued, leased, completed, pulled and acknowledged, each step in batches by a thread of its own, and never
more than a bounded number is on the way. Each tenth body is so large that the store keeps it in a file of blobs. The
task that lives is of a program that no worker has; the store may not keep what came after it for its sake.
"""
import os
import threading
import time

import process_figures
import wire
from filling import RESULT, counts, require

BATCH_TASKS = 1_000
SMALL, LARGE = 100, 2_048
LARGE_EVERY = 10
PREPARED = 10  # batches
ON_THE_WAY = 30_000  # tasks enqueued and not yet acknowledged
WAIT_MS = 500
WORKERS = 2
SAMPLE_SECONDS = 1.0
LEAVE_SECONDS = 300
REST_SECONDS = 600
FOREVER = os.urandom(100_000)


class Flow:
    """What has been done so far, by several threads."""

    def __init__(self, address, count, until):
        self.address = address
        self.count = count
        self.until = until
        self.changed = threading.Condition()
        self.enqueued = self.completed = self.acknowledged = 0
        self.is_over = False  # no more is enqueued
        self.failure = None

    def add(self, name, number):
        with self.changed:
            setattr(self, name, getattr(self, name) + number)
            self.changed.notify_all()

    def is_done(self, name):
        return self.failure is not None or (self.is_over and getattr(self, name) >= self.enqueued)

    def guarded(self, body):
        connection = wire.Connection(self.address)
        try:
            body(connection)
        except Exception as error:  # noqa: BLE001  (shown by the thread that waits)
            with self.changed:
                self.failure = self.failure or error
                self.changed.notify_all()
        finally:
            connection.close()

    def enqueue(self, connection):
        batches = [wire.batch_of([os.urandom(SMALL if i % LARGE_EVERY else LARGE) for i in range(BATCH_TASKS)])
                   for _ in range(PREPARED)]
        while self.enqueued < self.count and time.monotonic() < self.until and self.failure is None:
            with self.changed:
                if self.enqueued - self.acknowledged >= ON_THE_WAY:
                    self.changed.wait(1.0)
                    continue
            connection.post("/v1/tasks:batch", batches[self.enqueued // BATCH_TASKS % PREPARED])
            self.add("enqueued", BATCH_TASKS)
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def work(self, connection):
        worker = wire.register(connection, b"soak")
        while not self.is_done("completed"):
            tokens = wire.acquire(connection, worker, BATCH_TASKS, WAIT_MS)
            if tokens:
                self.add("completed", wire.complete(connection, worker, tokens, RESULT))

    def collect(self, connection):
        while not self.is_done("acknowledged"):
            page = connection.post(f"/v1/results:pull?max=10000&wait={WAIT_MS}ms")
            items = sum(1 for field, _ in wire.fields(page) if field == 1)
            if not items:
                continue
            reply = connection.post("/v1/results:ack", wire.content(1, wire.first_of(page, 2)))
            require("acknowledged", wire.first_of(reply, 1), items)
            self.add("acknowledged", items)


def sample(flow, manager, began):
    return {"at_s": time.monotonic() - began, "acknowledged": flow.acknowledged,
            "disk": process_figures.directory_bytes(manager.directory), "memory": process_figures.memory(manager.pid)}


def start(flow):
    threads = [threading.Thread(target=flow.guarded, args=(body,))
               for body in (flow.enqueue, flow.collect, *[flow.work] * WORKERS)]
    for thread in threads:
        thread.start()
    return threads


def run(flow, manager):
    began = time.monotonic()
    threads = start(flow)
    samples = []
    while any(thread.is_alive() for thread in threads):
        process_figures.wait_for_instant(began + SAMPLE_SECONDS * (len(samples) + 1))
        samples.append(sample(flow, manager, began))
    for thread in threads:
        thread.join()
    if flow.failure is not None:
        raise flow.failure
    return samples, time.monotonic() - began


def check(manager, flow, lives):
    """Everything went through once, and the one that lives is as it was. Gives the seconds until the others were gone."""
    http = manager.http()
    totals = http.get("/v1/cluster").json()["totals"]
    for name, wanted in (("enqueued", flow.enqueued + 1), ("leased", flow.enqueued), ("completed", flow.enqueued),
                         ("delivered", flow.enqueued), ("lease_expired", 0), ("workers_lost", 0), ("duplicate_results", 0)):
        require(f"total of {name}", totals.get(name, 0), wanted)
    require("acknowledged", flow.acknowledged, flow.enqueued)
    began = time.monotonic()
    while sum(counts(http).get(state, 0) for state in ("queued", "leased", "done", "dead")) > 1:
        process_figures.wait_for_instant(time.monotonic() + SAMPLE_SECONDS)
        if time.monotonic() > began + LEAVE_SECONDS:
            raise AssertionError(f"finished tasks do not go away: {counts(http)}")
    gone = time.monotonic() - began
    connection = wire.Connection(manager.address)
    worker = wire.first_of(connection.post("/v1/workers", wire.content(1, b"forever") + wire.content(4, b"forever")), 1)
    leases = wire.all_of(connection.post("/v1/leases:acquire", wire.content(1, worker) + wire.number(2, 9) +
                                         wire.content(4, b"command") + wire.content(5, b"forever")), 1)
    require("leases of the task that lives", [wire.first_of(lease, 2) for lease in leases], [lives.encode()])
    require("its body is as it was", wire.first_of(leases[0], 8) == FOREVER, True)
    connection.close()
    return gone


def measure(lab, count, seconds, say):
    manager = lab.manager(["--provisioner", "none"], directory=lab.path("store-soak"))
    http = manager.http()
    require("PATCH of the retention", http.request("PATCH", "/v1/queues/default", b'{"retention_ms":1000}').status, 200)
    answer = http.post("/v1/tasks?kind=command&program=forever", FOREVER)
    require("enqueue", answer.status, 200)
    flow = Flow(manager.address, count, time.monotonic() + seconds)
    samples, took = run(flow, manager)
    say(f"soak: {flow.acknowledged:,} tasks in {took:.0f} s")
    out = {"wanted": count, "tasks": flow.acknowledged, "seconds": took, "samples": samples,
           "cpu_s": process_figures.cpu_seconds(manager.pid)}
    out["gone_s"] = check(manager, flow, answer.json()["id"])
    out["rest_s"] = process_figures.wait_for_rest(manager.pid, REST_SECONDS)
    out["last"] = sample(flow, manager, time.monotonic() - took)
    manager.kill()
    return out
