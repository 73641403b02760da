#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scaling.py - skep's scaling beside other policies on real traces, in several worlds.

    scaling.py [--short] [--traces DIR] [--trials 60] [--tune-each] [--json FILE] [--from-json FILE] [--write-docs]
    scaling.py --live [--rounds 3] [--span 300] [--json FILE] [--from-json FILE] [--write-docs]

`./dev bench scaling` runs it. Every policy's settings are searched with the same number of trials on seeds 1 and 2 of each
trace in the first world, and then measured in all worlds on seeds 11 to 15, which the search has not seen. --traces: others
than those of test/traces.

--live: what the simulator says beside what a fleet of this machine does (scaling_live.py); some 20 minutes, on a quiet machine.
"""
import argparse
import json
import math
import os
import subprocess
import sys

import machine
import report
import scaling_live

SKEP = os.environ.get("SKEP_BIN", "build/skep")
POLICIES = ("skep", "keda", "asg", "hyperqueue", "dask", "autoscale", "seed", "fixed")
LATE_MAX = 0.05
PAGE = os.path.join(machine.ROOT, "docs", "scaling.md")
# Name, what it is, arguments. Settings are searched in the first.
WORLDS = (
    ("base", "boot 45 s, 2 to 10 workers, a task is late after 30 s", []),
    ("boot 20 s", "the same with boots of 20 s", ["--boot", "20s"]),
    ("boot 90 s", "the same with boots of 90 s", ["--boot", "90s"]),
    ("spot", "the same, each machine taken away once in 20 hours with two minutes of notice", ["--interruptions", "0.05"]),
    ("large", "ten times the load on 2 to 100 workers", ["--max", "100", "--load", "8", "--times", "10"]),
)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="3 trials, one seed, the first world")
    parser.add_argument("--traces", default=os.path.join(machine.ROOT, "test", "traces"))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--tune-each", action="store_true", help="search settings in each world anew")
    parser.add_argument("--settings", help="take the settings of this file of --json, search none")
    parser.add_argument("--json", help="keep the figures in this file")
    parser.add_argument("--from-json", help="take the figures of this file and measure nothing")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--live", action="store_true", help="the simulator beside a fleet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--span", type=int, default=300, help="seconds that an hour of arrivals is pressed into")
    options = parser.parse_args(arguments)
    options.trials = 3 if options.short else options.trials
    options.seeds = 1 if options.short else 5
    options.worlds = WORLDS[:1] if options.short else WORLDS
    return options


def simulate(options, policies, *more):
    """The lines that skep simulate prints, as objects."""
    command = [SKEP, "simulate", "--trace", options.traces, "--policy", ",".join(policies), "--json", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def tuned(options, arguments):
    search = ["--tune", "--trials", str(options.trials), "--seed", "1", "--repeats", str(min(2, options.seeds))]
    return {name: simulate(options, [name], *search, *arguments)[0]["policy"] for name in POLICIES}


def rows_of(options, world, settings):
    name, _, arguments = world
    seeds = ["--seed", "11", "--repeats", str(options.seeds)]
    rows = []
    for policy in POLICIES:
        print(f"{name}: {settings[policy]}", file=sys.stderr)
        rows += [{**row, "name": policy} for row in simulate(options, [settings[policy]], *seeds, *arguments)]
    rows += [{**row, "name": "skep, as it comes"} for row in simulate(options, ["skep"], *seeds, *arguments)]
    return rows, simulate(options, ["clairvoyant"], *seeds, *arguments)


def measure(options):
    result = {"command": "./dev bench scaling", "commit": machine.commit(), "trials": options.trials, "worlds": []}
    settings = None
    if options.settings:
        with open(options.settings, encoding="utf-8") as file:
            settings = json.load(file)["worlds"][0]["settings"]
    for world in options.worlds:
        is_tuned = settings is None or options.tune_each
        if is_tuned:
            settings = tuned(options, world[2])
        rows, bounds = rows_of(options, world, settings)
        result["worlds"].append({"name": world[0], "what": world[1], "is_tuned": is_tuned, "settings": settings,
                                 "rows": rows, "bounds": bounds})
        if options.json:  # what is measured is kept, should the rest be interrupted
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(result, file)
    return result


# ---- what the page says ----

def limits(world):
    """How many may be late in each trace and seed: what even the clairvoyant can not do in time does not count."""
    return {(bound["trace"], bound["seed"]): max(LATE_MAX, bound["late_share"]) for bound in world["bounds"]}


def geometric(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def summary(world, name):
    """(cases held, cases, geometric mean cost, {trace: (mean cost, worst lateness, mean events)})"""
    rows = [row for row in world["rows"] if row["name"] == name]
    limit = limits(world)
    held = sum(row["late_share"] <= limit[row["trace"], row["seed"]] for row in rows)
    traces = {}
    for row in rows:
        traces.setdefault(row["trace"], []).append(row)
    cells = {trace: (sum(row["cost_ratio"] for row in found) / len(found), max(row["late_share"] for row in found),
                     sum(row["scale_events"] for row in found) / len(found)) for trace, found in traces.items()}
    return held, len(rows), geometric([row["cost_ratio"] for row in rows]), cells


def names(world):
    return list(dict.fromkeys(row["name"] for row in world["rows"]))


def world_lines(world):
    traces = sorted({row["trace"] for row in world["rows"]})
    found = {name: summary(world, name) for name in names(world)}
    rows = []
    for name, (held, cases, cost, cells) in sorted(found.items(), key=lambda each: (-each[1][0], each[1][2])):
        rows.append([name, f"{held} of {cases}", f"{cost:.2f}",
                     *(f"{cells[trace][0]:.2f} / {100 * cells[trace][1]:.1f} / {cells[trace][2]:,.0f}" for trace in traces)])
    lines = [f"### {world['name']}", "", *report.paragraph(f"{world['what'][0].upper()}{world['what'][1:]}."), "",
             *report.table(["policy", "held", "cost", *traces], rows), ""]
    return lines + verdict_lines(found, traces)


def verdict(found, own):
    """One sentence: the cheapest of the others among those that hold the objective at least as often."""
    held, cases, cost, _ = found[own]
    equals = {name: each for name, each in found.items() if not name.startswith("skep") and each[0] >= held}
    said = f"{own} ({held} of {cases})"
    if not equals:
        return f"No other policy holds the objective as often as {said}."
    name, best = min(equals.items(), key=lambda each: each[1][2])
    share = 100 * (1 - cost / best[2])
    text = f"Of the others that hold the objective at least as often as {said}, {name} ({best[0]} of {cases}) costs least: " \
        f"{own} costs {abs(share):.0f} % {'less' if share >= 0 else 'more'}."
    more = [name for name, each in equals.items() if each[0] > held]
    return text + (f" More often: {', '.join(sorted(more))}." if more else "")


def verdict_lines(found, traces):
    cells = found["skep"][3]
    cheaper = []
    for trace in traces:
        better = [name for name, each in found.items() if not name.startswith("skep")
                  and each[3][trace][1] <= max(LATE_MAX, cells[trace][1]) and each[3][trace][0] < cells[trace][0] - 0.005]
        if better:
            cheaper.append(f"{trace} ({', '.join(sorted(better))})")
    text = " ".join(verdict(found, own) for own in found if own.startswith("skep"))
    text += f" Cheaper than skep on a trace and not later: {'; '.join(cheaper)}." if cheaper else \
        " On no trace is another cheaper that is not later as well."
    return [*report.paragraph(text), ""]


def lines_of(result):
    lines = report.paragraph(
        f"`{result['command']}` at commit {result['commit']}. Settings were searched in the first world with {result['trials']} "
        "trials each on seeds 1 and 2, and measured in all worlds on seeds 11 to 15. Held: in how many traces and seeds no more "
        "than 5 % of the tasks were late, or no more than of the bound's. Cost: worker-seconds billed, as a multiple of the "
        "clairvoyant bound's; geometric mean over all. Then for each trace: mean cost / greatest share of late tasks in % / mean "
        "number of machines started and stopped.") + [""]
    for world in result["worlds"]:
        lines += world_lines(world)
    lines += ["### The settings found", "", "```text"]
    for number, world in enumerate(result["worlds"]):
        if world["is_tuned"] or number == 0:
            lines += [f"{world['name']}: {label}" for label in world["settings"].values()]
    return lines + ["```", ""]


def draw(options):
    """Pictures of the two traces that may be shown."""
    for trace in ("azure_llm_code", "nab_elb"):
        path = os.path.join(machine.ROOT, "test", "traces", trace + ".csv")
        command = [SKEP, "simulate", "--trace", path, "--policy", "skep,keda,autoscale", "--seed", "11", "--svg",
                   os.path.join(machine.ROOT, "docs", f"scaling_{trace}.svg")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def live(options):
    if options.from_json:
        with open(options.from_json, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = scaling_live.measure(options.rounds, options.span)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file)
    lines = scaling_live.lines_of(result)
    print("\n".join(lines))
    if options.write_docs:
        scaling_live.draw(result)
        report.renew(PAGE, lines, "scaling live")


def main():
    options = parse(sys.argv[1:])
    if options.live:
        live(options)
        return
    if options.from_json:
        with open(options.from_json, encoding="utf-8") as file:
            result = json.load(file)
    else:
        result = measure(options)
    lines = lines_of(result)
    print("\n".join(lines))
    if options.write_docs:
        report.renew(PAGE, lines, "scaling")
        draw(options)


if __name__ == "__main__":
    main()
