# SPDX-License-Identifier: Apache-2.0
"""worker_load.py - a whole worker on a real mixed load, held against engines alone on the same list of tasks.

A repeat has its own manager, with a store on disk. All tasks are enqueued before a worker is there; the clock runs from
the first lease to the last completion, by the manager's own instants. Every result is compared with the engines'.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from protobuf_wire import content, number
from task_list import TaskList

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "process"))
from harness import Lab, wait_until  # noqa: E402  (its place is known only now)

BATCH_BYTES = 16 * 1024 * 1024  # in one request of at most 32 MiB
BATCH_TASKS = 1000
PULL_MAX = 10_000
POLL_SECONDS = 0.5  # seldom: each look takes from the cores that are measured
QUIET_SECONDS = 1.0
DEADLINE_SECONDS = 3600
WORKERS_NICE = "5"  # of the worker's compute threads: whatever else runs on the machine weighs the same for both


def run_engines(program, files, results):
    """Engines alone, one for each core: the bound."""
    done = subprocess.run(["nice", "-n", WORKERS_NICE, program, "list", *files, results], capture_output=True, check=True,
                          timeout=DEADLINE_SECONDS)
    return json.loads(done.stdout)


def batch(tasks, group):
    """An EnqueueBatchRequest in protobuf: bodies as they are, not in base64."""
    return b"".join(content(1, content(1, number(3, iterations)) + content(2, tasks.body((begin, size, iterations))))
                    for begin, size, iterations in group)


def enqueue(http, tasks):
    """All tasks in their order. Gives their ids."""
    ids = []
    headers = {"Content-Type": "application/x-protobuf", "Accept": "application/json"}
    for group in tasks.batches(BATCH_BYTES, BATCH_TASKS):
        answer = http.post("/v1/tasks:batch", batch(tasks, group), headers=headers)
        if answer.status != 200:
            raise AssertionError(f"enqueue: {answer}")
        ids += [task["id"] for task in answer.json()["tasks"]]
    return ids


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(pid):
    """What the store does after so many writes belongs to enqueueing."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(QUIET_SECONDS)
        if cpu_seconds(pid) - before < 0.02 * QUIET_SECONDS:
            return
    raise AssertionError("the manager does not come to rest")


def wait_for_all(http, count):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        tasks = http.get("/v1/queues").json()["queues"][0]["tasks"]
        if tasks.get("dead", 0):
            raise AssertionError(f"tasks have died: {tasks}")
        if tasks.get("done", 0) == count:
            return
        time.sleep(POLL_SECONDS)
    raise AssertionError("the worker does not finish")


def span_ms(http):
    """From the first lease to the last completion."""
    leased, finished, cursor = [], [], ""
    while True:
        page = http.get(f"/v1/tasks?limit=1000&cursor={cursor}").json()
        leased += [task["leased_at_ms"] for task in page.get("tasks", [])]
        finished += [task["finished_at_ms"] for task in page.get("tasks", [])]
        cursor = page.get("next_cursor", "")
        if not cursor:
            return max(finished) - min(leased)


def pulled(http, count):
    results = {}
    while len(results) < count:
        page = http.post(f"/v1/results:pull?max={PULL_MAX}").json()
        if not page.get("items"):
            raise AssertionError(f"{len(results)} results of {count}")
        results.update((item["id"], item["result"]) for item in page["items"])
        http.post("/v1/results:ack", {"receipt": page["receipt"]})
    return results


def run_worker(tasks, expected):
    with Lab() as lab:
        manager = lab.manager(["--provisioner", "none"])
        http = manager.http(timeout=DEADLINE_SECONDS)
        ids = enqueue(http, tasks)
        wait_for_quiet(manager.pid)
        manager_cpu = cpu_seconds(manager.pid)
        worker = lab.worker(manager)
        wait_until(lambda: http.get("/v1/workers").json().get("workers"), "the worker is there")
        wait_for_all(http, len(ids))
        times = {"manager_cpu_s": cpu_seconds(manager.pid) - manager_cpu, "worker_cpu_s": cpu_seconds(worker.pid)}
        times["worker_s"] = span_ms(http) / 1000
        results = pulled(http, len(ids))
        if [results[name] for name in ids] != expected:
            raise AssertionError("the worker's results are not the engines'")
        return times


def measure(program, count, repeats, say):
    tasks = TaskList(count)
    with tempfile.TemporaryDirectory(prefix="skep-bench-") as directory:
        files = tasks.write(directory)
        results = os.path.join(directory, "results")
        bound = run_engines(program, files, results)
        with open(results, encoding="ascii") as file:
            expected = file.read().split()
        rows = []
        for number in range(repeats):
            row = {"bound_before_s": bound["seconds"], **run_worker(tasks, expected)}
            bound = run_engines(program, files, results)
            rows.append({**row, "bound_after_s": bound["seconds"]})
            say(f"worker, repeat {number + 1}: {row['worker_s']:.1f} s, engines alone {bound['seconds']:.1f} s")
    return {"tasks": count, "hashes": bound["hashes"], "compressions": bound["compressions"], "cores": bound["cores"],
            "kernel": bound["kernel"], "repeats": rows}
