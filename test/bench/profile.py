#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""profile.py - where the manager's processor time goes under the load of `./dev bench queue`. `./dev bench profile` runs it.

    profile.py [--seconds N] [--write-docs]

perf takes a sample of every thread by the clock; the stacks become a flame graph (flame.py) and a table of shares. With
--write-docs they go to docs/performance.md and docs/flame_*.svg.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import flame
import queue_servers
import report

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SKEP_QUEUE_BENCH_BIN") or os.path.join(ROOT, "build", "queue_bench")
PAGE = os.path.join(ROOT, "docs", "performance.md")
PLANS = (("64 connections, one task a request", "single", (1024, 64, 1)),
         ("16 connections, 100 tasks a request", "batch", (1024, 16, 100)))
SERVERS = (queue_servers.Skep, queue_servers.SkepLog)
HERTZ = 499
ROWS = (("HTTP thread", "skep::http::"), ("the core: applying", "skep::manager::ShardHost::apply_pending"),
        ("the core: answers and notices", "skep::manager::ShardHost::on_committed"),
        ("store: the whole commit", "skep::store::"), ("of it RocksDB", "rocksdb::"),
        ("of it RocksDB's memtable", "rocksdb::MemTable::Add"), ("system calls", "do_syscall_64"))


def sampled(server, plan, seconds, directory):
    """The stacks of one full cycle under load."""
    data = os.path.join(directory, "perf.data")
    arguments = [PROGRAM, "run", "skep", str(server.port), "profile", *map(str, plan), str(1000 * (seconds + 1))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        driver.stdout.readline()  # ready for the full cycle
        driver.stdin.write("\n")
        driver.stdin.flush()
        subprocess.run(["perf", "record", "-q", "-F", str(HERTZ), "--call-graph", "dwarf,16384", "-p", str(server.process.pid),
                        "-o", data, "--", "sleep", str(seconds)], check=True, stderr=subprocess.DEVNULL, timeout=60)
        driver.kill()
    done = subprocess.run(["perf", "script", "-i", data, "-F", "comm,ip,sym"], capture_output=True, text=True, check=True,
                          timeout=600)
    return list(flame.stacks_of(done.stdout.splitlines()))


def threads(stacks):
    names = sorted({thread for thread, _ in stacks})
    return {name: sum(thread == name for thread, _ in stacks) / len(stacks) for name in names}


def measure(seconds):
    found = []
    with tempfile.TemporaryDirectory(prefix="skep-profile-", dir=ROOT) as directory:
        for kind in SERVERS:
            for what, short, plan in PLANS:
                print(f"{kind.name}: {what}", file=sys.stderr, flush=True)
                server = kind(directory).start()
                try:
                    found.append((kind.name, what, short, sampled(server, plan, seconds, directory)))
                finally:
                    server.stop()
    return found


def picture_of(name, short):
    return f"flame_{name}_{short}.svg".replace("-", "_")


def lines_of(found):
    lines = []
    for name, what, short, stacks in found:
        shares = flame.inclusive(stacks, [prefix for _, prefix in ROWS])
        lines += [f"### {name}, {what}", "", f"![flame graph]({picture_of(name, short)})", "",
                  "Threads: " + ", ".join(f"{thread} {100 * share:.0f} %" for thread, share in
                                          sorted(threads(stacks).items(), key=lambda each: -each[1]) if share > 0.01) + ".", "",
                  *report.table(["part", "share of the process"],
                                [[title, f"{100 * shares[prefix]:.1f} %"] for title, prefix in ROWS if shares[prefix] > 0]), ""]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of samples for each flame graph")
    parser.add_argument("--write-docs", action="store_true", help="renew docs/performance.md and its pictures")
    options = parser.parse_args()
    found = measure(options.seconds)
    lines = lines_of(found)
    print("\n".join(lines))
    if options.write_docs:
        for name, what, short, stacks in found:
            with open(os.path.join(ROOT, "docs", picture_of(name, short)), "w", encoding="utf-8") as file:
                file.write(flame.svg_of(flame.tree_of(stacks), f"{name}: {what}"))
        report.renew(PAGE, lines, "profile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
