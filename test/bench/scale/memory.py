#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory.py - what a queued task costs a manager in memory, on disk and at a restart; and a soak of its store.

    memory.py [--short] [--tasks 10000000] [--large 1000000] [--soak 10000000] [--soak-seconds 1500]
              [--directory DIR] [--json FILE] [--from-json FILE] [--write-docs]

`./dev bench memory` runs it. A part of 0 tasks is left out. What is done is in filling.py and soak.py.
"""
import sys

import tool
import filling
import report
import soak
from harness import Lab

MIB = 2 ** 20


def parse(arguments):
    parser = tool.parser_of(__doc__)
    parser.add_argument("--tasks", type=int, help="of 100 bytes [10,000,000]")
    parser.add_argument("--large", type=int, help="tasks of 1 KB [1,000,000]")
    parser.add_argument("--soak", type=int, help="tasks that pass through the store [10,000,000]")
    parser.add_argument("--soak-seconds", type=float, default=1500, help="then no more of them are enqueued")
    options = parser.parse_args(arguments)
    for name, usual, short in (("tasks", 10_000_000, 100_000), ("large", 1_000_000, 20_000), ("soak", 10_000_000, 100_000)):
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else usual)
    return options


def measure(options):
    latencies = 200 if options.short else 5_000
    out = {"fills": []}
    for count, body_bytes in ((options.tasks, 100), (options.large, 1_000)):
        if count:
            with Lab(options.directory) as lab:
                out["fills"].append(filling.measure(lab, count, body_bytes, latencies, tool.say))
    if options.soak:
        with Lab(options.directory) as lab:
            out["soak"] = soak.measure(lab, options.soak, options.soak_seconds, tool.say)
    return out


def bytes_a_task(figures, base, tasks):
    return f"{(figures['rss'] - base['rss']) / tasks:.0f}"


def slope(samples):
    """Bytes for each further task in the second half of the filling: the store's buffers are full by then."""
    half = samples[len(samples) // 2 - 1:]
    return (half[-1]["rss"] - half[0]["rss"]) / (half[-1]["tasks"] - half[0]["tasks"]) if len(half) > 1 else 0.0


def mebibytes(value):
    return f"{value / MIB:,.0f}"


def fill_column(fill):
    tasks, base = fill["tasks"], fill["base"]
    warm, cold = fill["restarts"]
    latency = fill["latency"]
    times = [f"{latency[what][part] * 1e3:.2f}" for what in ("acquire", "complete") for part in ("p50", "p99")]
    return [mebibytes(base["rss"]), mebibytes(fill["settled"]["rss"]), mebibytes(fill["settled"]["peak"]),
            bytes_a_task(fill["filled"], base, tasks), bytes_a_task(fill["settled"], base, tasks), f"{slope(fill['samples']):.0f}",
            bytes_a_task(cold["memory"], base, tasks), f"{fill['fill_s']:.1f}", f"{tasks / fill['fill_s']:,.0f}",
            f"{fill['fill_cpu_s']:.1f}", mebibytes(fill["disk"]["all"]), f"{fill['disk']['all'] / tasks:.0f}",
            *[f"{each['ready_s']:.2f} / {each['first_lease_s']:.2f}" for each in (warm, cold)],
            f"{times[0]} / {times[1]}", f"{times[2]} / {times[3]}"]


FILL_ROWS = ["resident memory of an empty manager, MiB", "with all tasks queued, at rest, MiB", "the most meanwhile, MiB",
             "bytes of memory a task beyond the empty manager: when filled", "at rest", "for each further task of the second half",
             "after a restart", "time to fill, s", "tasks a second", "processor seconds of the manager", "store on disk, MiB",
             "bytes of disk a task", "restart after kill -9, s to ready / to the first lease: files cached",
             "files not cached", "lease of one task among them, ms: p50 / p99", "its completion, ms: p50 / p99"]


def fill_lines(fills):
    head = ["", *[f"{fill['tasks']:,} of {fill['body_bytes']} bytes" for fill in fills]]
    columns = [fill_column(fill) for fill in fills]
    return ["### Memory", "", *report.table(head, [[name, *values] for name, *values in zip(FILL_ROWS, *columns)]), ""]


def soak_lines(section):
    samples = section["samples"]
    busy = [each for each in samples if each["acknowledged"]] or samples
    shown = [("at the first tenth", busy[len(busy) // 10]), ("at the half", busy[len(busy) // 2]), ("at the end", busy[-1]),
             ("once all had left and the store was at rest", section["last"]),
             ("the most on disk", max(samples, key=lambda each: each["disk"]["all"])),
             ("the most in memory", max(samples, key=lambda each: each["memory"]["rss"]))]
    rows = [[name, f"{each['acknowledged']:,}", mebibytes(each["disk"]["all"]), mebibytes(each["memory"]["rss"])]
            for name, each in shown]
    words = (f"{section['tasks']:,} tasks in {section['seconds']:.0f} s ({section['tasks'] / section['seconds']:,.0f} a second, "
             f"{section['cpu_s']:.0f} processor seconds of the manager), nine of ten bodies of {soak.SMALL} bytes and one of "
             f"{soak.LARGE:,}; the results left {section['gone_s']:.0f} s after the last was acknowledged.")
    return ["### A soak", "", *report.paragraph(words), "",
            *report.table(["", "tasks acknowledged", "store on disk, MiB", "resident memory, MiB"], rows), ""]


def lines_of(result):
    lines = fill_lines(result["fills"]) if result["fills"] else []
    return lines + (soak_lines(result["soak"]) if "soak" in result else [])


def main():
    return tool.run("memory", parse(sys.argv[1:]), measure, lines_of)


if __name__ == "__main__":
    sys.exit(main())
