#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""managers.py - one, two and three managers on one PostgreSQL: what each further one brings.

    managers.py [--short] [--counts 1,2,3] [--connections 32] [--batches 1,100] [--seconds 3] [--repeats 3] [--directory DIR]
                [--json FILE] [--from-json FILE] [--write-docs]

`./dev bench managers` runs it. Each count has a fresh server; each manager has a driver of its own with its part of the
connections, so that the load is the same whoever shares it, and all begin each phase together. Beside them the queue of
`SELECT .. FOR UPDATE SKIP LOCKED` on the same server, as in `./dev bench queue`.
"""
import json
import os
import statistics
import subprocess
import sys

import tool
import report
from queue_report import PHASES, batch_name, rate_text
from queue_servers import Postgresql, SkepPostgres

PROGRAM = os.environ.get("SKEP_QUEUE_BENCH_BIN") or os.path.join(tool.machine.ROOT, "build", "queue_bench")
BODY_BYTES = 1024
RUN_SECONDS_MAX = 600


def numbers(text):
    return [int(each) for each in text.split(",")]


def parse(arguments):
    parser = tool.parser_of(__doc__)
    parser.add_argument("--counts", type=numbers, default=[1, 2, 3], help="of managers")
    parser.add_argument("--connections", type=int, default=32, help="of all drivers together")
    parser.add_argument("--batches", type=numbers, default=[1, 100], help="tasks a request")
    parser.add_argument("--seconds", type=float, help="of each phase [3]")
    parser.add_argument("--repeats", type=int, help="[3]")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (0.3 if options.short else 3)
    options.repeats = options.repeats or (1 if options.short else 3)
    options.directory = options.directory or "/var/tmp"
    return options


def with_managers(number):
    class Server(SkepPostgres):
        managers = number

    return Server


class Driver:
    """One queue_bench against one port; it says when it is ready for a phase."""

    def __init__(self, server, port, plan, queue, seconds):
        arguments = [PROGRAM, "run", server.driver or server.name, str(port), queue, *map(str, plan), str(round(1000 * seconds))]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline()

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        if self.process.wait(RUN_SECONDS_MAX) != 0:
            raise SystemExit("a driver has failed")


def run(server, ports, plan, queue, seconds):
    """The phases of all drivers together: their tasks, and the longest of their times."""
    drivers = [Driver(server, port, plan, queue, seconds) for port in ports]
    phases = []
    while all(line.startswith("ready ") for line in [driver.line() for driver in drivers]):
        cpu = server.cpu_seconds()
        for driver in drivers:
            driver.go()
        parts = [json.loads(driver.line()) for driver in drivers]
        phases.append({"phase": parts[0]["phase"], "tasks": sum(part["tasks"] for part in parts),
                       "seconds": max(part["seconds"] for part in parts), "p50_ms": max(part["round"]["p50_ms"] for part in parts),
                       "p99_ms": max(part["round"]["p99_ms"] for part in parts),
                       "server_cpu_s": round(server.cpu_seconds() - cpu, 3)})
    for driver in drivers:
        driver.end()
    return phases


def measure_one(kind, count, options):
    server = kind(options.directory)
    try:
        server.start()
        ports = getattr(server, "ports", [server.port])
        if count:
            server.wait_until_shared()
        out = []
        for batch in options.batches:
            connections = max(1, options.connections // len(ports))
            phases = run(server, ports, (BODY_BYTES, connections, batch), f"q{batch}", options.seconds)
            out.append({"managers": count, "batch": batch, "phases": phases})
        return out
    finally:
        server.stop()


def measure(options):
    runs = []
    kinds = [(0, Postgresql), *[(count, with_managers(count)) for count in options.counts]]
    for repeat in range(options.repeats):
        for count, kind in kinds:
            tool.say(f"repeat {repeat + 1} of {options.repeats}: {f'{count} managers' if count else kind.name}")
            os.sync()
            runs += [{**each, "repeat": repeat} for each in measure_one(kind, count, options)]
    return {"runs": runs, "connections": options.connections, "seconds": options.seconds, "repeats": options.repeats}


def median_of(runs, phase, value):
    return statistics.median(value(each) for run in runs for each in run["phases"] if each["phase"] == phase)


def rate(phase):
    return phase["tasks"] / phase["seconds"]


def rows_of(result, batch):
    rows = []
    for count in sorted({run["managers"] for run in result["runs"]}):
        runs = [run for run in result["runs"] if run["managers"] == count and run["batch"] == batch]
        cells = [rate_text(median_of(runs, phase, rate)) for phase, _, _ in PHASES]
        times = " / ".join(f"{median_of(runs, 'cycle', lambda each, part=part: each[part]):.1f}" for part in ("p50_ms", "p99_ms"))
        cpu = median_of(runs, "cycle", lambda each: 1e6 * each["server_cpu_s"] / max(1, each["tasks"]))
        name = f"{count} manager{'' if count == 1 else 's'}" if count else "SKIP LOCKED, without skep"
        rows.append([name, *cells, times, f"{cpu:.0f}"])
    return rows


def lines_of(result):
    lines = report.paragraph(f"Bodies of {BODY_BYTES} bytes, {result['connections']} connections in all, {result['seconds']:g} s a "
                             f"phase, {result['repeats']} repeats, medians. The database, the managers and the drivers share the "
                             "cores.") + [""]
    head = ["", *[f"{title.lower()}, tasks/s" for _, title, _ in PHASES], "a round of the first, ms: p50 / p99",
            "processor µs a task, of all servers"]
    for batch in sorted({run["batch"] for run in result["runs"]}):
        lines += [f"{batch_name(batch).capitalize()}:", "", *report.table(head, rows_of(result, batch)), ""]
    return lines


def main():
    return tool.run("managers", parse(sys.argv[1:]), measure, lines_of, tool.POSTGRES_PAGE)


if __name__ == "__main__":
    sys.exit(main())
