# SPDX-License-Identifier: Apache-2.0
"""report.py - what the measurements of `./dev bench compute` say: medians, paired ratios, tables, the page of documents.

The input is what compute.py wrote: for each contender the seconds of each round. A ratio is taken within a round,
where both saw the same machine, and only then the median over the rounds.
"""
import statistics
import textwrap

BASELINE = "openssl evp"
SECTIONS = ("chains", "bulk", "few", "limits", "worker")


def spread(values):
    """(median, least, greatest)."""
    return statistics.median(values), min(values), max(values)


def rates(row):
    """Units a second, in each round."""
    return [row["units"] / seconds for seconds in row["seconds"]]


def paired_ratios(row, baseline):
    """How many times as fast as the baseline, in each round."""
    if len(row["seconds"]) != len(baseline["seconds"]):
        raise ValueError(f"{row['name']} has not as many rounds as {baseline['name']}")
    return [mine / other for mine, other in zip(rates(row), rates(baseline))]


def row_named(rows, name):
    return next(row for row in rows if row["name"] == name)


def cycles_a_step(row, clock):
    """Cycles of the core for one step of a kernel: paired with the clock of the same round."""
    steps = [row["rounds"] / seconds for seconds in row["seconds"]]
    return [cycles / step for cycles, step in zip(rates(clock), steps)]


def shares(repeats):
    """What part of the bound's speed the worker reached: held against the mean of the bounds before and after it."""
    return [(each["bound_before_s"] + each["bound_after_s"]) / 2 / each["worker_s"] for each in repeats]


def number(value):
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def with_range(values, scale=1.0):
    middle, least, most = spread([value / scale for value in values])
    return f"{number(middle)} ({number(least)}-{number(most)})"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + \
           ["| " + " | ".join(row) + " |" for row in rows]


def rate_rows(section, scale):
    baseline = row_named(section["rows"], BASELINE)
    return [[row["name"], with_range(rates(row), scale), with_range(paired_ratios(row, baseline)), row["what"]]
            for row in section["rows"]]


def paragraph(text):
    return textwrap.wrap(text, 124, break_on_hyphens=False, break_long_words=False)


def machine_lines(report):
    machine = report["machine"]
    return paragraph(f"`{report['command']}` on {machine['cpu']}, {machine['cores']} cores, load {report['load']} at the start. "
                     f"{machine['compiler']}, {machine['openssl']}, ipsec-mb {machine['ipsec-mb']}, Python {machine['python']} "
                     f"(its hashlib: {machine['python openssl']}). Commit {report['commit']}.")


def chains_lines(section):
    head = ["", "M hashes/s, one core: median (range)", "times EVP, paired", "what it is"]
    return ["### Chains", "", f"SHA-512 of 64-byte digests; {rounds_of(section)}.", "",
            *table(head, rate_rows(section, 1e6)), ""]


def bulk_lines(section):
    head = ["", "GB/s, one core: median (range)", "times EVP, paired", "what it is"]
    return ["### Bulk", "", f"SHA-512 of bodies of 256 KiB, one iteration; {rounds_of(section)}.", "",
            *table(head, rate_rows(section, 1e9)), ""]


def few_lines(section):
    head = ["jobs in the engine", "M hashes/s, one core: median (range)", "times EVP, paired", "kernel"]
    return ["### Few jobs", "", *paragraph("Chains in an engine of the best target as a worker makes it, with so many jobs, up "
                                           f"to all its lanes; {rounds_of(section)}."), "", *table(head, rate_rows(section, 1e6)), ""]


def rounds_of(section):
    return f"{len(section['rows'][0]['seconds'])} rounds of {section['slice_ms']} ms for each row"


def limits_lines(section):
    models = section["models"]
    head = ["kernel", "lanes", "cycles a step, measured", *[f"llvm-mca {model}: bound / simulated" for model in models],
            "instructions a hash: all / vector", "callgrind, instructions a hash"]
    rows = []
    for kernel in section["kernels"]:
        if "cycles" not in kernel:
            continue
        bounds = [f"{number(each['bound'])} / {number(each['simulated'])}" for each in kernel.get("mca", [])]
        rows.append([kernel["name"], str(kernel["lanes"]), with_range(kernel["cycles"]),
                     *(bounds or ["-"] * len(models)), counts_of(kernel),
                     number(kernel["callgrind"]) if "callgrind" in kernel else "-"])
    lines = ["### How far from the machine's limit", "", *table(head, rows), ""]
    lines += reached_lines(section)
    evp = next((each for each in section["kernels"] if each["name"] == BASELINE and "callgrind" in each), None)
    if evp:
        lines += [f"OpenSSL's EVP with a reused context takes {number(evp['callgrind'])} instructions a hash by callgrind.", ""]
    return lines


def reached_lines(section):
    """The kernels against the model of the processor that they ran on, if there is one."""
    if section["host"] not in section["models"]:
        return [*paragraph(f"This processor is a {section['host']}, of which llvm-mca has no tables of its own."), ""]
    at = section["models"].index(section["host"])
    parts = []
    for kernel in section["kernels"]:
        if "cycles" in kernel and "mca" in kernel:
            cycles, model = statistics.median(kernel["cycles"]), kernel["mca"][at]
            parts.append(f"{kernel['name']} {100 * model['bound'] / cycles:.0f} % and {100 * model['simulated'] / cycles:.0f} %")
    return [*paragraph(f"By the model of this processor ({section['host']}), what part of the bound by the execution units alone, "
                       "and of the speed that is simulated with all dependencies, the kernels reach: "
                       f"{'; '.join(parts)}."), ""]


def counts_of(kernel):
    if "instructions" not in kernel:
        return "-"
    return f"{number(kernel['instructions'] / kernel['lanes'])} / {number(kernel['vector'] / kernel['lanes'])}"


def worker_lines(section):
    repeats = section["repeats"]
    head = ["", "median (range)"]
    rows = [["engines alone, s", with_range([each[name] for each in repeats
                                             for name in ("bound_before_s", "bound_after_s")])],
            ["manager and worker, first lease to last completion, s", with_range([each["worker_s"] for each in repeats])],
            ["share of the engines' speed, paired, %", with_range(shares(repeats), 0.01)],
            ["processor seconds of the manager meanwhile", with_range([each["manager_cpu_s"] for each in repeats])],
            ["processor seconds of the worker", with_range([each["worker_cpu_s"] for each in repeats])]]
    return ["### A whole worker", "",
            *paragraph(f"{section['tasks']:,} tasks, bodies of 16-256 KiB (uniform), 10-10^6 iterations (log-uniform), "
                       f"{section['hashes']:,} hashes in all, {section['cores']} cores, kernel {section['kernel']}; "
                       f"{len(repeats)} repeats."), "", *table(head, rows), ""]


def lines_of(report):
    lines = machine_lines(report) + [""]
    makers = {"chains": chains_lines, "bulk": bulk_lines, "few": few_lines, "limits": limits_lines, "worker": worker_lines}
    for name in SECTIONS:
        if name in report:
            lines += makers[name](report[name])
    return lines


def markers(name):
    """Between these are the tables of `./dev bench NAME`."""
    return f"<!-- bench {name}: begin -->", f"<!-- bench {name}: end -->"


def renew(path, lines, name):
    """Replaces a section of a document on the disk."""
    with open(path, encoding="utf-8") as file:
        page = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(with_section(page, lines, name))


def with_section(document, lines, name):
    """The document with what stands between the markers replaced."""
    before, begin, rest = document.partition(markers(name)[0])
    _, end, after = rest.partition(markers(name)[1])
    if not begin or not end:
        raise ValueError(f"the document lacks {' or '.join(markers(name))}")
    return before + begin + "\n\n" + "\n".join(lines).strip() + "\n\n" + end + after
