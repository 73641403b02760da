#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""latency.py - time from enqueue to result on an idle system with one running worker, beside the disk's own sync.

    latency.py [--samples 200] [--repeats 5] [--directory DIR] [--json]

One client with a kept connection enqueues a task of one iteration, waits for it in a long-poll, and takes the time
from the first byte sent to the result read. Between two samples it appends 4 KiB to a file in the same directory and
times fdatasync, so that both see the same disk in the same moments. The figures are the medians over the repeats; the
spread is that of the repeats. An enqueue and a completion are each acknowledged after one such sync.
"""
import argparse
import json
import os
import statistics
import sys
import time

from harness import Lab, reference, wait_until

BODY = b"x" * 64
WARM_UP = 20


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_task(http, number):
    body = BODY + str(number).encode()
    began = time.perf_counter()
    enqueued = http.post("/v1/tasks?iterations=1", body)
    answered = time.perf_counter()
    task = http.get(f"/v1/tasks/{enqueued.json()['id']}?wait=30s").json()
    ended = time.perf_counter()
    if task["state"] != "done" or task["result"] != reference(body, 1):
        raise AssertionError(f"wrong: {task}")
    return ended - began, answered - began


def measure_sync(file):
    began = time.perf_counter()
    file.write(b"y" * 4096)
    os.fdatasync(file.fileno())
    return time.perf_counter() - began


def run(directory, samples, repeats):
    with Lab(directory) as lab:
        manager = lab.manager()
        http = manager.http()
        lab.worker(manager, ["--slots", "1"])
        wait_until(lambda: http.get("/v1/workers").json().get("workers"), "the worker is there")
        rows = []
        number = 0
        with open(lab.path("sync"), "wb", buffering=0) as file:
            for _ in range(WARM_UP):
                measure_task(http, number := number + 1)
                measure_sync(file)
            for _ in range(repeats):
                whole, enqueue, sync = [], [], []
                for _ in range(samples):
                    total, answered = measure_task(http, number := number + 1)
                    whole.append(total)
                    enqueue.append(answered)
                    sync.append(measure_sync(file))
                rows.append({"result_p50": percentile(whole, 0.5), "result_p99": percentile(whole, 0.99),
                             "enqueue_p50": percentile(enqueue, 0.5), "enqueue_p99": percentile(enqueue, 0.99),
                             "fdatasync_p50": percentile(sync, 0.5), "fdatasync_p99": percentile(sync, 0.99)})
        figures = {}
        for name in rows[0]:
            values = [row[name] * 1e6 for row in rows]
            figures[name] = {"median_us": round(statistics.median(values)), "min_us": round(min(values)),
                             "max_us": round(max(values))}
        return {"samples": samples, "repeats": repeats, "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2), "figures": figures}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--directory", default=None, help="on the disk to measure [the system's temporary directory]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = run(options.directory, options.samples, options.repeats)
    if options.json:
        print(json.dumps(report))
        return 0
    print(f"{options.repeats} repeats of {options.samples} tasks, {report['cores']} cores, load {report['load']}")
    print(f"{'':28}{'median':>10}{'min':>10}{'max':>10}")
    names = {"result_p50": "enqueue -> result, p50", "result_p99": "enqueue -> result, p99",
             "enqueue_p50": "enqueue answered, p50", "enqueue_p99": "enqueue answered, p99",
             "fdatasync_p50": "fdatasync of 4 KiB, p50", "fdatasync_p99": "fdatasync of 4 KiB, p99"}
    for name, text in names.items():
        row = report["figures"][name]
        print(f"{text:28}" + "".join(f"{row[part] / 1000:>7.2f} ms" for part in ("median_us", "min_us", "max_us")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
