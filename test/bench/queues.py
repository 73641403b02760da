#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""queues.py - skep beside other durable queues, the same plan for each. `./dev bench queue` runs it.

    queues.py [--short] [--only PEERS] [--bodies BYTES] [--connections NUMBERS] [--batches NUMBERS] [--json FILE]
              [--from-json FILE] [--write-docs]

Each server is alone on the machine, with fresh data on the same disk; they take their turns within a repeat. The C++
program (queue/) drives them, checks every body that comes back and that all come back; this starts the servers and reads
their processor time and memory. What the figures are made of is in queue_report.py.
(Not called queue.py: Python's own module of that name would be hidden from what it imports.)
"""
import argparse
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

import machine
import queue_picture
import queue_report
import queue_servers
import report

PROGRAM = os.environ.get("SKEP_QUEUE_BENCH_BIN") or os.path.join(machine.ROOT, "build", "queue_bench")
PAGE = os.path.join(machine.ROOT, "docs", "benchmarks.md")
PICTURE = os.path.join(machine.ROOT, "docs", "queue_throughput.svg")
BODIES = (1024, 65536)
CONNECTIONS = (1, 16, 64)
BATCHES = (1, 100)
SECONDS = {False: 1.5, True: 0.3}  # of a phase; True: --short
REPEATS = {False: 3, True: 1}
# Of bodies on their way at once. With more, a phase is one request a connection, and what it measures is memory.
BYTES_AT_ONCE_MAX = 128 * 1024 * 1024
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
RUN_SECONDS_MAX = 600


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(server, plan, queue, seconds):
    """One plan against a running server: its three phases."""
    arguments = [PROGRAM, "run", server.driver or server.name, str(server.port), queue, *map(str, plan), str(round(1000 * seconds))]
    phases, memory, cpu, began = [], 0, 0.0, time.monotonic()
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        for line in driver.stdout:
            if line.startswith("ready "):
                memory = max(memory, server.memory_bytes())
                cpu = server.cpu_seconds()
                driver.stdin.write("\n")
                driver.stdin.flush()
            else:
                phases.append({**json.loads(line), "server_cpu_s": round(server.cpu_seconds() - cpu, 3)})
        driver.stdin.close()
        if driver.wait(RUN_SECONDS_MAX) != 0:
            raise SystemExit(f"{server.name}: {' '.join(arguments)} has failed; the server says: {server.process.log(800)}")
    return {"peer": server.name, "body_bytes": plan[0], "connections": plan[1], "batch": plan[2], "memory_bytes": memory,
            "wall_s": round(time.monotonic() - began, 3), "phases": phases}


def measure_disk(directory, seconds):
    done = subprocess.run([PROGRAM, "disk", directory, str(round(1000 * seconds))], capture_output=True, check=True, text=True,
                          timeout=RUN_SECONDS_MAX)
    return json.loads(done.stdout)


def measure(options, servers):
    out = about(options, servers)
    out.update(runs=[], disk=[])
    plans = plans_of(options)
    with tempfile.TemporaryDirectory(prefix="skep-queues-", dir=options.directory) as directory:
        os.chmod(directory, 0o755)
        for repeat in range(options.repeats):
            out["disk"].append(measure_disk(directory, options.seconds))
            for kind in servers:
                say(f"repeat {repeat + 1} of {options.repeats}: {kind.name}")
                os.sync()  # what others have left to write is not this one's
                server = kind(directory)
                try:
                    server.start()
                    out["runs"] += [{**run(server, plan, f"q{number}", options.seconds), "repeat": repeat}
                                    for number, plan in enumerate(plans)]
                finally:
                    server.stop()
    return out


def plans_of(options):
    """(bytes of a body, connections, tasks a request)."""
    plans = itertools.product(options.bodies, options.connections, options.batches)
    return [plan for plan in plans if plan[0] * plan[1] * plan[2] <= BYTES_AT_ONCE_MAX]


def about(options, servers):
    return {"command": command(options), "commit": machine.commit(), "load": round(os.getloadavg()[0], 2),
            "machine": machine_of(options.directory),
            "seconds": options.seconds, "repeats": options.repeats,
            "peers": [{"name": kind.name, "version": kind.version(), "durability": kind.durability, "is_synced": kind.is_synced,
                       "driven": kind.driven}
                      for kind in servers]}


def machine_of(directory):
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"^MemTotal:\s*(\d+)", file.read(), re.MULTILINE).group(1)) * 1024
    return {"cpu": machine.cpu(), "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": memory, "kernel": platform.release(), "file_system": file_system(directory)}


def file_system(directory):
    done = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def command(options):
    words = ["./dev bench queue"]
    if options.short:
        words.append("--short")
    for name, all_of_them in (("bodies", BODIES), ("connections", CONNECTIONS), ("batches", BATCHES)):
        if tuple(getattr(options, name)) != all_of_them and not options.short:
            words += [f"--{name}", ",".join(map(str, getattr(options, name)))]
    for name, usual in (("seconds", SECONDS), ("repeats", REPEATS)):
        if getattr(options, name) != usual[options.short]:
            words += [f"--{name}", f"{getattr(options, name):g}"]
    if options.only:
        words += ["--only", ",".join(options.only)]
    return " ".join(words)


def numbers(text):
    return [int(each) for each in text.split(",")]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two minutes: to see that it works, not for figures")
    parser.add_argument("--only", type=lambda text: text.split(","), help="peers, with commas")
    parser.add_argument("--bodies", type=numbers, default=list(BODIES), help="bytes of a body, with commas")
    parser.add_argument("--connections", type=numbers, help="with commas")
    parser.add_argument("--batches", type=numbers, default=list(BATCHES), help="tasks a request, with commas")
    parser.add_argument("--seconds", type=float, help="of each phase")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--directory", default="/var/tmp", help="where the servers have their data: on a disk")
    parser.add_argument("--json", help="write the raw measurements there")
    parser.add_argument("--from-json", help="do not measure: show what was written there")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md, and the picture beside it")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or SECONDS[options.short]
    options.repeats = options.repeats or REPEATS[options.short]
    options.connections = options.connections or ([1, 64] if options.short else list(CONNECTIONS))
    known = [kind.name for kind in queue_servers.SERVERS]
    if not set(options.only or []) <= set(known):
        parser.error(f"--only knows {','.join(known)}")
    if not options.from_json and not plans_of(options):
        parser.error("that is too much at once: fewer connections, smaller bodies or batches")
    if file_system(options.directory) in MEMORY_FILE_SYSTEMS:
        parser.error(f"{options.directory} is no disk: --directory names one")
    return options


def servers_here(options):
    """Those asked for that this machine and this build have. Says which are left out."""
    queue_servers.BareHttp.bench = PROGRAM
    built = subprocess.run([PROGRAM, "peers"], capture_output=True, check=True, text=True).stdout.splitlines()
    out = []
    for kind in queue_servers.SERVERS:
        if options.only and kind.name not in options.only:
            continue
        if (kind.driver or kind.name) not in built:
            say(f"{kind.name} is left out: the library of its client was not there when the driver was built")
        elif not kind.is_there():
            say(f"{kind.name} is left out: there is no {kind.program}")
        else:
            out.append(kind)
    return out


def main():
    options = parse(sys.argv[1:])
    if options.from_json:
        with open(options.from_json, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = measure(options, servers_here(options))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    lines = queue_report.lines_of(result)
    print("\n".join(lines))
    if options.write_docs:
        report.renew(PAGE, lines, "queue")
        with open(PICTURE, "w", encoding="utf-8") as file:
            file.write(queue_picture.svg_of(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
