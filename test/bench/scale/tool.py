# SPDX-License-Identifier: Apache-2.0
"""tool.py - what the tools of this folder have in common: options, the raw results, the page of documents.

A tool is a name, a function that measures, and one that puts its results into lines of Markdown.
"""
import argparse
import json
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), *place) for place in ([".."], ["..", "..", "process"])]
import machine  # noqa: E402  (its place is known only now)
import report  # noqa: E402

PAGE = os.path.join(machine.ROOT, "docs", "benchmarks.md")
POSTGRES_PAGE = os.path.join(machine.ROOT, "docs", "postgres.md")


def say(text):
    print(text, file=sys.stderr, flush=True)


def facts(name, options):
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) * 1024
    return {"command": f"./dev bench {name}{' --short' if options.short else ''}", "commit": machine.commit(),
            "load": round(os.getloadavg()[0], 2),
            "machine": {"cpu": machine.cpu(), "cores": len(os.sched_getaffinity(0)), "memory": memory}}


def facts_lines(result):
    where = result["machine"]
    return [*report.paragraph(f"`{result['command']}` on {where['cpu']}, {where['cores']} cores, "
                              f"{where['memory'] / 2**30:.0f} GiB, load {result['load']} at the start. "
                              f"Commit {result['commit']}."), ""]


def parser_of(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="under a minute: to see that it works, not for figures")
    parser.add_argument("--directory", help="on the disk to measure [the system's temporary directory]")
    parser.add_argument("--json", help="write the raw measurements there")
    parser.add_argument("--from-json", help="do not measure: show what was written there")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into the page of docs/ that has them")
    return parser


def run(name, options, measure, lines_of, page=PAGE):
    if options.from_json:
        with open(options.from_json, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = facts(name, options)
        result.update(measure(options))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    lines = facts_lines(result) + lines_of(result)
    print("\n".join(lines))
    if options.write_docs:
        report.renew(page, lines, name)
    return 0
