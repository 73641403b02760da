# SPDX-License-Identifier: Apache-2.0
"""scaling_live.py - what the simulator says of a fleet beside what a fleet does: the same arrivals, both.

A manager with worker processes (`skep up`) gets the tasks of a trace, pressed into some minutes, as programs that sleep:
they take time and no processor, so that more workers than cores can be watched. What the simulator has to know of this
machine, how long a worker takes to come up and a task takes beyond its sleep, is measured first, on other tasks, which teach
the manager the same; then the simulator says what will be, then it is done.
"""
import csv
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

import machine
import report
from scaling_picture import picture

SKEP = os.environ.get("SKEP_BIN", "build/skep")
TRACE = os.path.join(machine.ROOT, "test", "traces", "azure_llm_code.csv")
WORKERS_MAX, TARGET_WAIT, SPAN_S, SLEEP_S = 6, 10, 300, 1.0
LOAD = 0.8 * WORKERS_MAX  # slots that arrivals keep busy in all but the busiest parts
WITHIN = 0.15
FLAGS = ("--max-workers", str(WORKERS_MAX), "--target-wait", f"{TARGET_WAIT}s", "--idle-hold", "20s")


# ---- arrivals ----

def arrivals(span_s, sleep_s, load, path=TRACE):
    """Seconds at which tasks of one length arrive: the trace pressed into the span, thinned to the load."""
    with open(path, encoding="utf-8") as file:
        times = [float(row["t_seconds"]) for row in csv.DictReader(file)]
    pressed = [at / times[-1] * span_s for at in times]
    # The mean load of a minute in a trace of an hour is that of five seconds here.
    counts = {}
    for at in pressed:
        counts[int(at / 5)] = counts.get(int(at / 5), 0) + 1
    busiest = sorted(counts.values())[int(0.95 * (len(counts) - 1))] / 5 * sleep_s
    step = max(1.0, busiest / load)
    kept, due = [], 0.0
    for number, at in enumerate(pressed):
        if number >= due:
            kept.append(at)
            due += step
    return kept


# ---- the manager ----

class Fleet:
    """`skep up` with workers that sleep."""

    def __init__(self, folder):
        program = os.path.join(folder, "nap")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nread seconds\nexec sleep \"$seconds\"\n")
        os.chmod(program, 0o755)
        self.log = open(os.path.join(folder, f"log{time.monotonic_ns()}"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [SKEP, "up", "--listen", "127.0.0.1:0", "--store", "memory:", "--slots", "1", "--worker-price", "3600",
             "--command", f"nap={program}", *FLAGS], stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = "http://" + self.process.stdout.readline().split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def enqueue(self, count, sleep_s):
        task = {"options": {"kind": "command", "program": "nap"}, "body": f"{sleep_s}\n"}
        return [each["id"] for each in self.call("/v1/tasks:batch", {"tasks": [task] * count})["tasks"]]

    def tasks(self):
        """All that have ended."""
        found, cursor = [], ""
        while True:
            page = self.call(f"/v1/tasks?state=done&limit=1000{cursor}")
            found += page.get("tasks", [])
            if not page.get("next_cursor"):
                return found
            cursor = "&cursor=" + page["next_cursor"]

    def wait_until_done(self, count, patience_s):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self.call("/v1/cluster")["tasks"].get("done", 0) >= count:
                return
            time.sleep(0.1)
        raise SystemExit(f"the fleet did not do {count} tasks in {patience_s:.0f} s")

    def wait_until_gone(self, patience_s=700):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            scaling = self.call("/v1/scaling")["state"]
            if not any(scaling.get(each) for each in ("running", "booting", "draining")):
                return
            time.sleep(0.2)
        raise SystemExit("the fleet did not go")

    def boots(self):
        """Seconds from a launch to the registrations that follow it, in their order."""
        self.log.flush()
        self.log.seek(0)
        launched, up = [], []
        for line in self.log.read().splitlines():
            at = line.split(" ", 1)[0]
            count = re.search(r"manager: launching count=(\d+)", line)
            if count:
                launched += [seconds_of(at)] * int(count.group(1))
            elif "worker registered" in line:
                up.append(seconds_of(at))
        return [after - before for before, after in zip(launched, up)]


def seconds_of(stamp):
    clock = stamp.split("T")[1].rstrip("Z")
    hours, minutes, seconds = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def calibrate(fleet):
    """What the simulator has to know: seconds of a boot, seconds of a task that sleeps for SLEEP_S. The manager learns too."""
    for round_number in range(2):
        fleet.enqueue(WORKERS_MAX * 5, SLEEP_S)
        fleet.wait_until_done((round_number + 1) * WORKERS_MAX * 5, 60)
        fleet.wait_until_gone()
    # From one end to the next on the same worker: what a slot is taken up by.
    by_worker = {}
    for task in fleet.tasks():
        by_worker.setdefault(task["worker"], []).append(task["finished_at_ms"] / 1e3)
    gaps = [after - before for ends in by_worker.values() for before, after in zip(sorted(ends), sorted(ends)[1:])]
    return statistics.median(fleet.boots()), statistics.median(gaps)


# ---- prediction ----

def predict(folder, times, boot_s, task_s):
    path = os.path.join(folder, "arrivals.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("t_seconds,service_seconds\n" + "".join(f"{at:.4f},{task_s:.4f}\n" for at in times))
    command = [SKEP, "simulate", "--trace", path, "--policy", "skep", "--json", "--series", "--load", "recorded", "--min", "0",
               "--max", str(WORKERS_MAX), "--target-wait", f"{TARGET_WAIT}s", "--boot", f"{round(1000 * boot_s)}ms",
               "--estimate-noise", "0", "--billed-min", "0s", "--tick", "500ms"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


# ---- reality ----

def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def watch(fleet, begin, stop, samples):
    while not stop.wait(0.5):
        cluster = fleet.call("/v1/cluster")
        samples.append({"at_s": time.monotonic() - begin, "running": cluster["scaling"].get("running", 0),
                        "queued": cluster["tasks"].get("queued", 0)})


def run(fleet, times, span_s):
    """Sends the tasks when they are due, and tells what came of them until the last was done and the span over."""
    known = {task["id"] for task in fleet.tasks()}
    cost_before, launched_before = fleet.call("/v1/cost")["cost"], fleet.call("/v1/scaling")["state"]["started"]
    stop, samples = threading.Event(), []
    begin, begin_ms = time.monotonic(), time.time() * 1e3
    watcher = threading.Thread(target=watch, args=(fleet, begin, stop, samples), daemon=True)
    watcher.start()
    late_s = 0.0
    for at in times:
        pause = begin + at - time.monotonic()
        stop.wait(max(0.0, pause))
        late_s = max(late_s, -pause)
        fleet.enqueue(1, SLEEP_S)
    fleet.wait_until_done(len(known) + len(times), 300)
    stop.wait(max(0.0, begin + span_s - time.monotonic()))
    cost = fleet.call("/v1/cost")["cost"] - cost_before  # a worker-second costs 1
    stop.set()
    watcher.join()
    tasks = [task for task in fleet.tasks() if task["id"] not in known]
    # A task that is too short for a heartbeat does not say when it began: it is what it took, less its sleep.
    waits = [max(0.0, (task["finished_at_ms"] - task["enqueued_at_ms"]) / 1e3 - SLEEP_S) for task in tasks]
    starts = [((task["finished_at_ms"] - begin_ms) / 1e3 - SLEEP_S, wait) for task, wait in zip(tasks, waits)]
    return {"tasks": len(tasks), "wait_p50_s": percentile(waits, 0.5), "wait_p95_s": percentile(waits, 0.95),
            "late_share": sum(wait > TARGET_WAIT for wait in waits) / len(waits), "worker_seconds": cost,
            "launches": fleet.call("/v1/scaling")["state"]["started"] - launched_before, "sender_late_s": late_s,
            "samples": samples, "starts": sorted(starts)}


def measure(repeats, span_s):
    """The prediction and what came of it, each time anew."""
    times = arrivals(span_s, SLEEP_S, LOAD)
    rounds = []
    with tempfile.TemporaryDirectory(prefix="skep-live-") as folder:
        for number in range(repeats):
            with Fleet(folder) as fleet:
                load = os.getloadavg()[0]
                boot_s, task_s = calibrate(fleet)
                predicted = predict(folder, times, boot_s, task_s)
                print(f"round {number + 1}: boot {boot_s:.3f} s, task {task_s:.3f} s; {len(times)} tasks in {span_s} s", flush=True)
                real = run(fleet, times, span_s)
            rounds.append({"load": load, "boot_s": boot_s, "task_s": task_s, "predicted": predicted, "real": real})
            for name in ("wait_p50_s", "wait_p95_s", "worker_seconds"):
                print(f"  {name}: predicted {predicted[name]:.2f}, real {real[name]:.2f}", flush=True)
    return {"commit": machine.commit(), "span_s": span_s, "tasks": len(times), "rounds": rounds}


# ---- what the page says ----

QUANTITIES = (("wait_p50_s", "median wait, s"), ("wait_p95_s", "95 % wait no longer, s"),
              ("worker_seconds", "worker-seconds"))


def deviation(each, name):
    return each["real"][name] / each["predicted"][name] - 1 if each["predicted"][name] else 0.0


def lines_of(result):
    rounds = result["rounds"]
    head = ["round", *(what for _, what in QUANTITIES), "late, %", "launches"]
    rows = []
    for number, each in enumerate(rounds):
        cells = [f"{each['predicted'][name]:.2f} / {each['real'][name]:.2f} ({100 * deviation(each, name):+.0f} %)"
                 for name, _ in QUANTITIES]
        late = f"{100 * each['predicted']['late_share']:.1f} / {100 * each['real']['late_share']:.1f}"
        rows.append([str(number + 1), *cells, late, str(each["real"]["launches"])])
    judged = [abs(deviation(each, name)) for each in rounds for name in ("wait_p95_s", "worker_seconds")]
    within = sum(each <= WITHIN for each in judged)
    text = f"Of the {len(judged)} figures that are judged, the 95 % wait and the worker-seconds of {len(rounds)} rounds, {within} are " \
        f"within {100 * WITHIN:.0f} % of what was predicted; the farthest is {100 * max(judged):.0f} % off."
    setting = f"`./dev bench scaling --live` at commit {result['commit']}: {result['tasks']} tasks that sleep for {SLEEP_S:.0f} s, " \
        f"arriving as those of azure_llm_code do, an hour pressed into {result['span_s']} s; 0 to {WORKERS_MAX} workers with a slot " \
        f"each, target wait {TARGET_WAIT} s. Measured before: boots of {report.with_range([each['boot_s'] for each in rounds])} s, " \
        f"{report.with_range([each['task_s'] for each in rounds])} s from a task to the next; load average of the machine at the start " \
        f"{report.with_range([each['load'] for each in rounds])}. Predicted / real (how far off)."
    return [*report.paragraph(setting), "", *report.table(head, rows), "", *report.paragraph(text), "",
            "![what was predicted and what the fleet did](scaling_live.svg)"]


def draw(result):
    path = os.path.join(machine.ROOT, "docs", "scaling_live.svg")
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture(result["rounds"][-1], result["span_s"], TARGET_WAIT))
