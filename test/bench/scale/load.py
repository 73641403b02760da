#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""load.py - how long an enqueue and a hand-out take at a tenth, a half and nine tenths of what a manager can take at most.

    load.py [--short] [--rounds 3] [--seconds 20] [--directory DIR] [--json FILE] [--from-json FILE] [--write-docs]

`./dev bench load` runs it. A round finds the most by a closed load - each client sends the next task once its last one is
stored and with a worker - and then sends open loads of shares of that: instants drawn in advance, as of a Poisson process,
and each time counted from its instant (arrivals.h). Workers complete at once.
"""
import sys

import tool
import report
from filling import counts, require
from harness import Lab
from simulator import WHO, Meter, Simulator, raise_open_files

SHARES = (0.1, 0.5, 0.9)
CLIENTS = (64, 256, 1_024)  # of the closed loads: the best counts
CONNECTIONS = 512  # of the open ones
WORKERS, LEASES = 8, 100
BODY_BYTES = 100
WARM_UP = 2.0


def parse(arguments):
    parser = tool.parser_of(__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each load [20]")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.short else 3)
    options.seconds = options.seconds or (3 if options.short else 20)
    return options


def closed_load(manager, simulator, seconds, clients):
    meter = Meter(manager=manager.pid, simulator=simulator.pid)
    row = simulator.ask(f"closed {seconds} {clients} {BODY_BYTES}")
    return {**row, "clients": clients, "cores": meter.read(), "rate": row["tasks"] / row["seconds"]}


def one_round(lab, manager, simulator, seconds):
    simulator.ask(f"closed {WARM_UP} {CLIENTS[0]} {BODY_BYTES}")
    found = [closed_load(manager, simulator, seconds / 2, clients) for clients in CLIENTS]
    closed = max(found, key=lambda each: each["rate"])
    loads = []
    for share in SHARES:
        meter = Meter(manager=manager.pid, simulator=simulator.pid)
        row = simulator.open_load(lab, "poisson", share * closed["rate"], seconds, CONNECTIONS, 1, BODY_BYTES)
        row.update(share=share, rate=share * closed["rate"], cores=meter.read())
        loads.append(row)
        tool.say(f"{100 * share:.0f} % of {closed['rate']:,.0f} a second: p99 {row['leased']['p99'] * 1e3:.2f} ms")
    return {"all_closed": found, "closed": closed, "loads": loads}


def measure(options):
    raise_open_files()
    with Lab(options.directory) as lab:
        manager = lab.manager(["--provisioner", "none"])
        with Simulator(manager.address) as simulator:
            simulator.ask(f"workers {WORKERS} {LEASES} 0")
            rounds = [one_round(lab, manager, simulator, options.seconds) for _ in range(options.rounds)]
            last = simulator.ask("counts")
            simulator.close()
        require(f"refused ({last['trouble']})", last["refused"], 0)
        require("leases lost", last["lost"], 0)
        tasks = counts(manager.http())
        require("done", tasks.get("done", 0), last["completed"])
        require("unfinished", sum(tasks.get(state, 0) for state in ("queued", "leased", "delayed", "dead")), 0)
        return {"rounds": rounds, "tasks": last["completed"]}


def times(rounds, place, what):
    """p50, p99 and p99.9 in milliseconds, each the median of the rounds with the least and the greatest."""
    return [report.with_range([each["loads"][place][what][part] for each in rounds], 1e-3) for part in ("p50", "p99", "p999")]


def lines_of(result):
    rounds = result["rounds"]
    closed = [each["closed"] for each in rounds]
    head = ["share of the most", "tasks a second", "", "p50, ms", "p99, ms", "p99.9, ms", "cores: manager", "simulator", "others"]
    rows = []
    for place, share in enumerate(SHARES):
        loads = [each["loads"][place] for each in rounds]
        rate = report.with_range([each["rate"] for each in loads])
        cores = [report.with_range([each["cores"][who] for each in loads]) for who in WHO]
        for what, name in (("stored", "enqueue"), ("leased", "enqueue to a worker"), ("sent", "of that before it was sent")):
            rows.append([f"{100 * share:.0f} %", rate, name, *times(rounds, place, what), *cores])
    clients = " or ".join(f"{count:,}" for count in sorted({each["clients"] for each in closed}))
    words = (f"With {clients} clients of one task each on the way and {WORKERS} workers of {LEASES}, "
             f"{report.with_range([each['rate'] for each in closed])} tasks a second went through, the manager on "
             f"{report.with_range([each['cores']['manager'] for each in closed])} cores and the simulator on "
             f"{report.with_range([each['cores']['simulator'] for each in closed])}. {result['tasks']:,} tasks in all, each done once. "
             f"{len(rounds)} rounds: medians (range).")
    return ["### Load", "", *report.paragraph(words), "", *report.table(head, rows), ""]


def main():
    return tool.run("load", parse(sys.argv[1:]), measure, lines_of)


if __name__ == "__main__":
    sys.exit(main())
