#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bloat.py - millions of short-lived tasks pass through a manager on a fresh PostgreSQL: do its tables and indexes stay small?

    bloat.py [--short] [--tasks 5000000] [--seconds 1500] [--naptime 1min] [--directory DIR] [--json FILE] [--from-json FILE]
             [--write-docs]

`./dev bench bloat` runs it. The tasks go through as in soak.py: enqueued, leased, completed, pulled and acknowledged in batches,
with a bounded number on the way; their results leave a second after they were acknowledged. Meanwhile the server says how large
each table and index is, how many dead rows it has and how often it was vacuumed. At the end everything has left.
"""
import os
import sys
import time

import tool
import process_figures
import report
import soak
from filling import counts, require
from harness import Http
from queue_servers import SkepPostgres

MIB = 2 ** 20
SAMPLE_SECONDS = 5.0
LEAVE_SECONDS = 300
TABLES = ("task_records", "bodies", "results")
SQL = """
SELECT s.relname, pg_relation_size(s.relid), pg_indexes_size(s.relid),
       coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0), s.n_live_tup, s.n_dead_tup, s.autovacuum_count
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
WHERE s.schemaname = 'skep' AND s.relname IN ('task_records', 'bodies', 'results')
"""
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
COLUMNS = ("heap", "indexes", "toast", "live", "dead", "vacuums")


def parse(arguments):
    parser = tool.parser_of(__doc__)
    parser.add_argument("--tasks", type=int, help="that pass through [5,000,000]")
    parser.add_argument("--seconds", type=float, default=1500, help="then no more of them are enqueued")
    parser.add_argument("--naptime", default="1min", help="the server's autovacuum_naptime [1min, as it comes]")
    options = parser.parse_args(arguments)
    if options.tasks is None:
        options.tasks = 60_000 if options.short else 5_000_000
    return options


def server_of(options):
    class Server(SkepPostgres):
        # As a server comes, but for what docs/postgres.md says; the tables have their own settings.
        settings = {"fsync": "on", "synchronous_commit": "on", "max_wal_size": "4GB", "listen_addresses": "127.0.0.1",
                    "autovacuum_naptime": options.naptime}

    return Server(options.directory)


def sample(server, flow, began):
    rows = [line.split("|") for line in server.ask(SQL).split("\n") if line]
    tables = {row[0]: dict(zip(COLUMNS, map(int, row[1:]), strict=True)) for row in rows}
    return {"at_s": time.monotonic() - began, "acknowledged": flow.acknowledged, "wal": int(server.ask(WAL)), "tables": tables}


def pass_through(server, flow):
    threads = soak.start(flow)
    began = time.monotonic()
    samples = []
    while any(thread.is_alive() for thread in threads):
        process_figures.wait_for_instant(began + SAMPLE_SECONDS * (len(samples) + 1))
        samples.append(sample(server, flow, began))
    for thread in threads:
        thread.join()
    if flow.failure is not None:
        raise flow.failure
    return samples, began


def wait_until_gone(http):
    began = time.monotonic()
    while sum(counts(http).get(state, 0) for state in ("queued", "leased", "done", "dead")) > 0:
        process_figures.wait_for_instant(time.monotonic() + soak.SAMPLE_SECONDS)
        if time.monotonic() > began + LEAVE_SECONDS:
            raise AssertionError(f"finished tasks do not go away: {counts(http)}")
    return time.monotonic() - began


def measure(options):
    server = server_of(options)
    try:
        server.start()
        address = f"127.0.0.1:{server.port}"
        http = server.lab.keep(Http(address))
        require("PATCH of the retention", http.request("PATCH", "/v1/queues/default", b'{"retention_ms":1000}').status, 200)
        flow = soak.Flow(address, options.tasks, time.monotonic() + options.seconds)
        samples, began = pass_through(server, flow)
        took = time.monotonic() - began
        tool.say(f"bloat: {flow.acknowledged:,} tasks in {took:.0f} s")
        require("acknowledged", flow.acknowledged, flow.enqueued)
        gone = wait_until_gone(http)
        server.ask("VACUUM skep.task_records, skep.bodies, skep.results")
        return {"wanted": options.tasks, "tasks": flow.acknowledged, "seconds": took, "samples": samples, "gone_s": gone,
                "naptime": options.naptime, "last": sample(server, flow, began),
                "cpu_s": server.cpu_seconds(), "version": SkepPostgres.version()}
    finally:
        server.stop()


def mebibytes(value):
    return f"{value / MIB:,.0f}"


def rate_at(samples, at):
    """Tasks a second in the tenth of the run before that sample."""
    before = samples[max(0, at - max(1, len(samples) // 10))]
    took = samples[at]["at_s"] - before["at_s"]
    return (samples[at]["acknowledged"] - before["acknowledged"]) / took if took > 0 else 0.0


def size_text(each, table):
    sizes = each["tables"][table]
    parts = [mebibytes(sizes["heap"] + sizes["toast"]), mebibytes(sizes["indexes"])]
    return " / ".join(parts)


def row_of(name, each, rate):
    dead = sum(each["tables"][table]["dead"] for table in TABLES)
    return [name, f"{each['acknowledged']:,}", rate, *[size_text(each, table) for table in TABLES], f"{dead:,}",
            f"{sum(each['tables'][table]['vacuums'] for table in TABLES):,}"]


def whole(each):
    return sum(each["tables"][table][part] for table in TABLES for part in ("heap", "indexes", "toast"))


def lines_of(result):
    samples = [each for each in result["samples"] if len(each["tables"]) == len(TABLES)]
    rows = [row_of(f"after {tenth} tenth{'' if tenth == 1 else 's'} of the time", samples[at], f"{rate_at(samples, at):,.0f}")
            for tenth in (1, 2, 4, 6, 8, 10) for at in [max(0, len(samples) * tenth // 10 - 1)]]
    largest = max(samples, key=whole)
    rows += [row_of("at its largest", largest, "-"), row_of("all gone, and vacuumed", result["last"], "-")]
    words = (f"{result['tasks']:,} tasks in {result['seconds']:.0f} s, {result['tasks'] / result['seconds']:,.0f} a second, nine of "
             f"ten bodies of {soak.SMALL} bytes and one of {soak.LARGE:,}, at most {soak.ON_THE_WAY:,} on the way; {result['version']}, "
             f"`autovacuum_naptime` {result['naptime']}; {result['cpu_s'] * 1e6 / result['tasks']:.0f} µs of processor time and "
             f"{(result['last']['wal'] - samples[0]['wal']) / (result['tasks'] - samples[0]['acknowledged']) / 1000:.1f} KB of WAL a "
             f"task, of server and manager together; the last had left {result['gone_s']:.0f} s after the last was acknowledged.")
    head = ["", "tasks acknowledged", "a second", *[f"`{table}`, MiB: rows / index" for table in TABLES], "dead rows", "vacuums"]
    return [*report.paragraph(words), "", *report.table(head, rows), ""]


def main():
    options = parse(sys.argv[1:])
    options.directory = options.directory or "/var/tmp"
    os.makedirs(options.directory, exist_ok=True)
    return tool.run("bloat", options, measure, lines_of, tool.POSTGRES_PAGE)


if __name__ == "__main__":
    sys.exit(main())
