#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fleet.py - a manager with ten thousand workers: what they cost, how fast work reaches them, and how they come back.

    fleet.py [--short] [--workers 10000] [--rates 100,1000,...] [--seconds 20] [--directory DIR] [--json FILE]
             [--from-json FILE] [--write-docs]

`./dev bench fleet` runs it. The workers are simulated by scale_bench, in one thread on the same cores as the manager.
"""
import sys
import time

import tool
import process_figures
import report
from filling import counts, require
from harness import Lab, free_port
from simulator import WHO, Meter, Simulator, raise_open_files

RUN_MS = 1_000
BODY_BYTES = 100
REQUESTS = 1_000  # of clients a second; at higher rates tasks arrive several at a time
CONNECTIONS = 512  # of clients
PAGE_TASKS = 1_000
MIB = 2 ** 20


def parse(arguments):
    parser = tool.parser_of(__doc__)
    parser.add_argument("--workers", type=int, help="[10,000]")
    parser.add_argument("--rates", help="tasks a second, with commas [a hundredth of the workers up to all of them]")
    parser.add_argument("--seconds", type=float, help="of each rate [20]")
    options = parser.parse_args(arguments)
    options.workers = options.workers or (500 if options.short else 10_000)
    options.seconds = options.seconds or (3 if options.short else 20)
    shares = (0.1, 1) if options.short else (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1)
    options.rates = [float(rate) for rate in options.rates.split(",")] if options.rates else \
        [options.workers * share for share in shares]
    return options


def idle(manager, simulator, seconds):
    meter, before = Meter(manager=manager.pid, simulator=simulator.pid), requests(manager)
    process_figures.wait_for_instant(time.monotonic() + seconds)
    return {"cores": meter.read(), "memory": process_figures.memory(manager.pid), "seconds": seconds,
            "requests_a_second": (requests(manager) - before) / seconds}


def requests(manager):
    text = manager.http().get("/metrics").body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("skep_http_requests"))


def at_rate(lab, manager, simulator, rate, seconds):
    meter = Meter(manager=manager.pid, simulator=simulator.pid)
    batch = max(1, round(rate / REQUESTS))
    row = simulator.open_load(lab, "constant", rate, seconds, CONNECTIONS, batch, BODY_BYTES)
    row.update(rate=rate, cores=meter.read(), memory=process_figures.memory(manager.pid))
    for name in ("refused", "lost"):
        require(f"{name} at {rate:.0f} a second ({row['trouble']})", row[name], 0)
    return row


def check_attempts(http, count):
    """Each of the tasks that are held through the kill is done, by the one attempt that it had."""
    seen, cursor = 0, ""
    while True:
        page = http.get(f"/v1/tasks?limit={PAGE_TASKS}&cursor={cursor}").json()
        for task in page.get("tasks", []):
            found = (task["state"], task.get("leases"), task.get("attempts_failed", 0), task.get("workers_lost", 0),
                     len(task.get("errors", [])))
            require(f"state, attempts, failures of {task['id']}", found, ("done", 1, 0, 0, 0))
            seen += 1
        cursor = page.get("next_cursor", "")
        if not cursor:
            return require("tasks in the list", seen, count)


def killed(lab, manager, simulator, workers):
    """kill -9 while each worker holds a lease. Gives the new manager."""
    held = simulator.ask(f"hold {workers}")
    before = counts(manager.http())
    require("leased", before["leased"], workers)
    simulator.tell("served")
    port = manager.address.rpartition(":")[2]
    manager.kill()
    began = time.monotonic()
    manager = lab.manager_not_ready(["--provisioner", "none"], directory=manager.directory, port=port)
    meter = Meter(manager=manager.pid, simulator=simulator.pid)
    manager.ready()
    out = {"ready_s": time.monotonic() - began, "hold_s": held["seconds"]}
    served = simulator.hear("served")
    out.update(served_s=served["seconds"], cores=meter.read(), memory=process_figures.memory(manager.pid),
               registered=served["registered"] - held["registered"], tries=served["tries"] - held["tries"],
               put_off=served["put_off"] - held["put_off"])
    require("leases lost", served["lost"], 0)
    done = simulator.ask("finish")
    out["finish_s"] = done["seconds"]
    require(f"refused ({done['trouble']})", done["refused"], 0)
    require("completed", done["completed"], done["leased"])
    http = manager.http()
    require("done", counts(http).get("done", 0), done["completed"])
    totals = http.get("/v1/cluster").json()["totals"]
    for name in ("lease_expired", "workers_lost", "duplicate_results", "leased"):
        require(f"total of {name} since the restart", totals.get(name, 0), 0)
    check_attempts(http, done["completed"])
    out["tasks"] = done["completed"]
    return out


def measure(options):
    raise_open_files()
    with Lab(options.directory) as lab:
        manager = lab.manager(["--provisioner", "none"], port=free_port())
        out = {"workers": options.workers, "base": process_figures.memory(manager.pid), "rates": []}
        with Simulator(manager.address) as simulator:
            meter = Meter(manager=manager.pid, simulator=simulator.pid)
            out["start_s"] = simulator.ask(f"workers {options.workers} 1 {RUN_MS}")["seconds"]
            out["start_cores"] = meter.read()
            tool.say(f"{options.workers:,} workers after {out['start_s']:.2f} s")
            out["idle"] = idle(manager, simulator, options.seconds)
            for rate in options.rates:
                out["rates"].append(at_rate(lab, manager, simulator, rate, options.seconds))
                tool.say(f"{rate:.0f} a second: p99 {out['rates'][-1]['leased']['p99'] * 1e3:.2f} ms")
            out["killed"] = killed(lab, manager, simulator, options.workers)
            simulator.close()
    return out


def rate_rows(result):
    rows = []
    for row in result["rates"]:
        leased = row["leased"]
        rows.append([f"{row['rate']:,.0f}", f"{row['tasks'] / row['seconds']:,.0f}",
                     f"{leased['p50'] * 1e3:.2f} / {leased['p99'] * 1e3:.2f} / {leased['max'] * 1e3:.1f}",
                     f"{row['sent']['p99'] * 1e3:.2f}", *[f"{row['cores'][who]:.2f}" for who in WHO],
                     f"{row['memory']['rss'] / MIB:,.0f}"])
    return rows


def lines_of(result):
    killed_, idle_ = result["killed"], result["idle"]
    head = ["tasks a second: arriving", "done, to the end of the last run", "to a worker, ms: p50 / p99 / most",
            "of that before the request was sent, ms: p99", "cores: manager", "simulator", "others", "resident memory, MiB"]
    words = (f"{result['workers']:,} workers are registered and wait after {result['start_s']:.2f} s. With nothing to do the "
             f"manager takes {idle_['cores']['manager']:.2f} cores and {idle_['memory']['rss'] / MIB:,.0f} MiB "
             f"({result['base']['rss'] / MIB:,.0f} MiB without workers), the simulator {idle_['cores']['simulator']:.2f} cores.")
    rows = [["the manager was ready, s after it was started", f"{killed_['ready_s']:.2f}"],
            ["every worker was served again, s after the first lost its connection", f"{killed_['served_s']:.2f}"],
            ["connections tried", f"{killed_['tries']:,}"], ["registrations", f"{killed_['registered']:,}"],
            ["answers 429 or 503", f"{killed_['put_off']:,}"],
            ["leases lost, tasks run twice", "0, 0"],
            ["cores meanwhile: manager, simulator, others", ", ".join(f"{killed_['cores'][who]:.2f}" for who in WHO)],
            ["all results completed, s", f"{killed_['finish_s']:.2f}"]]
    return ["### A fleet", "", *report.paragraph(words), "", *report.table(head, rate_rows(result)), "",
            *report.paragraph(f"After `kill -9` of the manager with {result['workers']:,} leases out:"), "",
            *report.table(["", ""], rows), ""]


def main():
    return tool.run("fleet", parse(sys.argv[1:]), measure, lines_of)


if __name__ == "__main__":
    sys.exit(main())
