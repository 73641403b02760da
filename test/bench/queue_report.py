# SPDX-License-Identifier: Apache-2.0
"""queue_report.py - what the measurements of `./dev bench queue` say: medians, ranges, tables.

The input is what queues.py wrote: a run for each peer, plan and repeat, with its phases.
"""
import statistics

from report import number, paragraph, spread, table

PHASES = (("cycle", "Enqueue, lease and complete", "round: enqueue, lease, complete"),
          ("enqueue", "Enqueue alone", "request"),
          ("drain", "Lease and complete alone", "round: lease, complete"))
BARE = "bare-http"


def size_name(size):
    return f"{size // 1024} KiB" if size >= 1024 and size % 1024 == 0 else f"{size} bytes"


def batch_name(batch):
    return "one task a request" if batch == 1 else f"{batch} tasks a request"


def counted(number_of, noun):
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")


def values(result, name):
    """The different values of a run's field, in order."""
    return sorted({run[name] for run in result["runs"]})


def phases_of(result, peer, plan, phase):
    """That phase of each repeat. plan: (body_bytes, connections, batch)."""
    return [each for run in result["runs"] if run["peer"] == peer and (run["body_bytes"], run["connections"], run["batch"]) == plan
            for each in run["phases"] if each["phase"] == phase]


def rates(phases):
    """Tasks a second, in each repeat."""
    return [each["tasks"] / each["seconds"] for each in phases]


def microseconds_a_task(phases, name):
    """Processor time, in each repeat."""
    return [1e6 * each[name] / each["tasks"] for each in phases if each["tasks"]]


def rate_text(rate):
    return f"{rate:,.0f}"


def with_range(found):
    middle, least, most = spread(found)
    if len(found) == 1:
        return rate_text(middle)
    return f"{rate_text(middle)} ({rate_text(least)}-{rate_text(most)})"


def milliseconds(phases):
    """Medians over the repeats of the two quantiles."""
    halves, most = ([each["round"][name] for each in phases] for name in ("p50_ms", "p99_ms"))
    return f"{number(statistics.median(halves))} / {number(statistics.median(most))}"


def median_text(found):
    return number(statistics.median(found)) if found else "-"


def names(result):
    return [peer["name"] for peer in result["peers"]]


def phase_table(result, body, batch, phase):
    connections = values(result, "connections")
    most = most_connections(result, body, batch)
    head = ["", *[f"{each} conn., tasks/s" for each in connections],
            *[f"{each} conn., p50 / p99 ms" for each in connections],
            f"server, CPU µs a task, {most} conn.", f"driver, CPU µs a task, {most} conn."]
    rows = []
    for peer in names(result):
        found = {each: phases_of(result, peer, (body, each, batch), phase) for each in connections}
        if found[most]:
            rows.append([peer, *[with_range(rates(each)) if each else "-" for each in found.values()],
                         *[milliseconds(each) if each else "-" for each in found.values()],
                         median_text(microseconds_a_task(found[most], "server_cpu_s")),
                         median_text(microseconds_a_task(found[most], "driver_cpu_s"))])
    return table(head, rows)


def most_connections(result, body, batch):
    """That were measured with these."""
    return max(run["connections"] for run in result["runs"] if (run["body_bytes"], run["batch"]) == (body, batch))


def plan_lines(result, body, batch):
    lines = [f"### Bodies of {size_name(body)}, {batch_name(batch)}", ""]
    for phase, title, what in PHASES:
        lines += [f"{title}; the times are of a {what}.", "", *phase_table(result, body, batch, phase), ""]
    return lines + refused_lines(result, body, batch)


def refused_lines(result, body, batch):
    """Requests that a server did not take at first, and how many it took."""
    parts = []
    for peer in names(result):
        phases = [phase for run in result["runs"] if (run["peer"], run["body_bytes"], run["batch"]) == (peer, body, batch)
                  for phase in run["phases"]]
        refused = sum(phase["refused"] for phase in phases)
        if refused:
            taken = sum(phase[kind]["count"] for phase in phases for kind in ("enqueue", "lease", "complete"))
            parts.append(f"{peer} said \"not now\" {refused:,} times beside {taken:,} requests that it took")
    return [*paragraph("; ".join(parts) + "."), ""] if parts else []


def memory_of(result, peer):
    return max(run["memory_bytes"] for run in result["runs"] if run["peer"] == peer)


def peers_table(result):
    head = ["", "version", "before it acknowledges", "how it is driven", "memory at most, MB"]
    return table(head, [[peer["name"], peer["version"] or "-", peer["durability"], peer["driven"],
                         f"{memory_of(result, peer['name']) / 1e6:,.0f}"] for peer in result["peers"]])


def disk_lines(result):
    appends = [each["append_bytes_a_second"] / 1e6 for each in result["disk"]]
    halves, most = ([each["sync"][name] for each in result["disk"]] for name in ("p50_ms", "p99_ms"))
    bodies = ", ".join(f"{rate_text(1e6 * statistics.median(appends) / size)} bodies of {size_name(size)}"
                       for size in values(result, "body_bytes"))
    rows = [["1 MB appended, fdatasync, again: MB/s", with_range(appends)],
            ["4 KB appended and fdatasync: p50 / p99 ms", f"{median_text(halves)} / {median_text(most)}"],
            ["at the first rate, each written once, a second", bodies]]
    return ["### The disk", "", *table(["", "median (range)"], rows), ""]


def machine_lines(result):
    machine = result["machine"]
    return paragraph(f"`{result['command']}` on {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB, "
                     f"{machine['file_system']}, Linux {machine['kernel']}, load {result['load']} at the start. "
                     f"{counted(result['repeats'], 'repeat')}, {result['seconds']:g} s a phase. Commit {result['commit']}.")


def lines_of(result):
    lines = machine_lines(result)
    lines += ["", "![Tasks a second of each queue](queue_throughput.svg)", "", "### What is compared", "",
              *peers_table(result), "", *disk_lines(result)]
    for body in values(result, "body_bytes"):
        for batch in values(result, "batch"):
            lines += plan_lines(result, body, batch)
    return lines
