#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compute.py - SHA-512 by skep's engine and by what else there is, side by side. `./dev bench compute` runs it.

    compute.py [--short] [--only chains,bulk,few,limits,worker] [--json FILE] [--write-docs]

All rows of a section take their turns within a round, on one core, so that they see the same moments of a machine
whose speed moves; every contender's digests are checked before its time is taken. What the figures are made of is in
report.py, the whole worker in worker_load.py, instruction counts in kernel_limits.py.
"""
import argparse
import hashlib
import itertools
import json
import os
import platform
import ssl
import subprocess
import sys
import time

import kernel_limits
import machine
import report
import worker_load

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SKEP_BENCH_BIN") or os.path.join(ROOT, "build", "compute_bench")
PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
BULK_BYTES = 256 * 1024
BULK_BODIES = 32
CHECKED = 37


def say(text):
    print(text, file=sys.stderr, flush=True)


class Program:
    """The C++ program, which has all contenders but this one's own."""

    def __init__(self):
        self.popen = subprocess.Popen([PROGRAM, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request):
        self.popen.stdin.write(request + "\n")
        self.popen.stdin.flush()
        lines = []
        while (line := self.popen.stdout.readline()) != ".\n":
            if not line:
                raise SystemExit(f"compute_bench has ended in '{request}'")
            lines.append(line.rstrip("\n"))
        return lines

    def close(self):
        self.popen.stdin.close()
        self.popen.wait()
        self.popen.stdout.close()


class Native:
    """A contender of the C++ program."""

    def __init__(self, program, number, line):
        units, self.name, self.what = line.split("\t")
        self.units_a_round = int(units)
        self.program = program
        self.number = number

    def run(self, rounds):
        return float(self.program.ask(f"run {self.number} {rounds}")[0])


class HashlibChain:
    name = "python hashlib"
    what = "sha512(digest).digest() in a loop, the function a local name"
    units_a_round = 1

    def __init__(self, program):
        self.digest = hashlib.sha512(b"python").digest()
        self.run(CHECKED - 1)
        if self.digest.hex() != program.ask(f"reference {CHECKED} python")[0]:
            raise SystemExit("hashlib computes another digest than the reference")

    def run(self, rounds, sha512=hashlib.sha512):
        digest = self.digest
        began = time.perf_counter()
        for _ in itertools.repeat(None, rounds):
            digest = sha512(digest).digest()
        ended = time.perf_counter()
        self.digest = digest
        return ended - began


class HashlibBulk:
    name = "python hashlib"
    what = "sha512(body).digest() in a loop"
    units_a_round = BULK_BYTES

    def __init__(self):
        self.bodies = itertools.cycle([os.urandom(BULK_BYTES) for _ in range(BULK_BODIES)])

    def run(self, rounds, sha512=hashlib.sha512):
        began = time.perf_counter()
        for body in itertools.islice(self.bodies, rounds):
            sha512(body).digest()
        return time.perf_counter() - began


def rounds_for(contender, seconds):
    """How many rounds take about so long."""
    rounds, spent = 1, 0.0
    while spent < seconds / 4:
        rounds *= 2
        spent = contender.run(rounds)
    return max(1, round(rounds * seconds / spent))


def interleaved(contenders, repeats, slice_ms):
    rounds = [rounds_for(contender, slice_ms / 1000) for contender in contenders]
    rows = [{"name": each.name, "what": each.what, "rounds": count, "units": count * each.units_a_round, "seconds": []}
            for each, count in zip(contenders, rounds)]
    for _ in range(repeats):
        for contender, row in zip(contenders, rows):
            row["seconds"].append(contender.run(row["rounds"]))
    return {"slice_ms": slice_ms, "rows": rows}


def contenders_of(program, section):
    out = [Native(program, i, line) for i, line in enumerate(program.ask(f"open {section}"))]
    if section == "chains":
        out.append(HashlibChain(program))
    elif section == "bulk":
        out.append(HashlibBulk())
    return out


def measure_limits(program, repeats, slice_ms):
    kernels = contenders_of(program, "kernels")
    clock = next((each for each in kernels if each.name == "clock"), None)
    if clock is not None:  # once before each kernel, so that both see the same moment
        kernels.remove(clock)
        kernels = [each for kernel in kernels for each in (clock, kernel)]
    section = interleaved(kernels, repeats, slice_ms)
    rows = section["rows"]
    out = kernel_limits.measure(PROGRAM, [report.BASELINE, *[row["name"] for row in rows if row["name"] != "clock"]])
    for before, row in zip(rows, rows[1:]):
        if before["name"] == "clock":
            report.row_named(out["kernels"], row["name"]).update(lanes=row["units"] // row["rounds"],
                                                                 cycles=report.cycles_a_step(row, before))
    return {**out, **section}


def facts(program):
    return {"cpu": machine.cpu(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
            "python openssl": ssl.OPENSSL_VERSION, **dict(line.split("\t") for line in program.ask("about"))}


def command(options):
    words = ["./dev bench compute"]
    if options.short:
        words.append("--short")
    if set(options.only) != set(report.SECTIONS):
        words.append("--only " + ",".join(options.only))
    return " ".join(words)


def measure(options):
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})  # the program inherits it: one core for all
    program = Program()
    os.sched_setaffinity(0, cores)
    out = {"command": command(options), "commit": machine.commit(), "load": round(os.getloadavg()[0], 2), "machine": facts(program)}
    repeats, slice_ms = (3, 50) if options.short else (11, 150)
    os.sched_setaffinity(0, {max(cores)})
    for name in ("chains", "bulk", "few"):
        if name in options.only:
            say(name)
            out[name] = interleaved(contenders_of(program, name), repeats, slice_ms)
    if "limits" in options.only:
        say("limits")
        out["limits"] = measure_limits(program, repeats, slice_ms)
    program.close()
    os.sched_setaffinity(0, cores)
    if "worker" in options.only:
        say("worker")
        out["worker"] = worker_load.measure(PROGRAM, *((2_000, 1) if options.short else (20_000, 3)), say)
    return out


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a minute: to see that it works, not for figures")
    parser.add_argument("--only", default=",".join(report.SECTIONS), help="sections, with commas")
    parser.add_argument("--json", help="write the raw measurements there")
    parser.add_argument("--from-json", help="do not measure: show what was written there")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if not set(options.only) <= set(report.SECTIONS):
        parser.error(f"--only knows {','.join(report.SECTIONS)}")
    return options


def main():
    options = parse(sys.argv[1:])
    if options.from_json:
        with open(options.from_json, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = measure(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    lines = report.lines_of(result)
    print("\n".join(lines))
    if options.write_docs:
        report.renew(PAGE, lines, "compute")
    return 0


if __name__ == "__main__":
    sys.exit(main())
