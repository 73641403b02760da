# SPDX-License-Identifier: Apache-2.0
"""rules_layers.py - who may include whom, and which file may name which library or thread."""

import fnmatch
import re

from tree import Finding, Tree, is_test, rule

INCLUDE = re.compile(r'^\s*#include\s+(?:"([^"]+)"|<([^>]+)>)')
LAYERS_FILE = "cmake/layers.cmake"
ARCHITECTURE = "ARCHITECTURE.md"

# Library -> (what gives it away in code, the files that may name it, reading "headers only there" by listing them).
LIBRARIES = {
    "Boost.Asio and Beast": (r"boost/(?:asio|beast)\b|\b(?:asio|beast)::",
                             ["src/http/*.cc", "src/http/internal_*.h"]),
    "RocksDB": (r"<rocksdb/|\brocksdb::", ["src/store/*"]),
    "prometheus-cpp": (r"<prometheus/|\bprometheus::", ["src/base/metrics.cc", "src/base/metrics.h"]),
    "spdlog": (r"<spdlog/|\bspdlog::", ["src/base/log.cc"]),
    "OpenSSL": (r"<openssl/|\bEVP_\w+", ["src/compute/*.cc", "src/base/secret.cc", "src/http/tls_*.cc", "src/http/internal_tls.h",
                                             "test/bench/openssl_contenders.cc", "test/bench/compute_bench.cc"]),
    "ipsec-mb": (r"<intel-ipsec-mb\.h>|\bIMB_\w+", ["test/bench/ipsec_mb_contenders.cc"]),
    "hiredis": (r"<hiredis/", ["test/bench/queue/redis_driver.cc"]),
    "nats.c": (r"<nats/", ["test/bench/queue/nats_driver.cc"]),
    "librabbitmq": (r"<amqp", ["test/bench/queue/rabbitmq_driver.cc"]),
    "libpq": (r"<libpq-fe\.h>", ["src/store/postgres_*", "test/bench/queue/postgres_driver.cc"]),
    "libcurl": (r"<curl/|\bcurl_\w+", ["src/aws/transport_curl.cc"]),
    "pugixml": (r"<pugixml|\bpugi::", ["src/aws/xml.cc"]),
    "CLI11": (r"<CLI/|\bCLI::", ["src/cli/*"]),
}

# The pure parts: time is an argument, what to do is returned.
PURE = ["src/queue/*", "src/scaler/policy.*", "src/scaler/reconciler.*", "src/worker/lease_loop.*",
        "src/worker/held_leases.*", "src/manager/explain.*", "src/aws/signer.*", "src/aws/retry.*",
        "src/deploy/plan*", "src/deploy/policy.*", "src/deploy/user_data.*", "src/deploy/status.*", "src/deploy/readiness.*",
        "src/provision/ec2_c*", "src/provision/ec2_launch.*"]
IMPURE = re.compile(r"^(?:base/(?:log|clock|runner|signals|metrics|mutex)\.h|thread|mutex|atomic|fstream|iostream|"
                    r"unistd\.h|fcntl\.h|sys/.*|random)$")

THREADING = re.compile(r"\bstd::(?:\w*mutex|atomic\w*|j?thread|condition_variable\w*|lock_guard|unique_lock|"
                       r"scoped_lock|shared_lock|call_once|once_flag|\w+_semaphore|latch|barrier)\b|"
                       r"\bpthread_\w+|\bthread_local\b|\b(?:Mutex|MutexLock|Condition)\b|base/mutex\.h")


def cmake_table(tree: Tree) -> dict[str, set[str]]:
    rows = re.findall(r'^set\(SKEP_DEPS_(\w+)\s+([^)]*)\)', tree.text(LAYERS_FILE), re.MULTILINE)
    return {name: set(deps.replace('"', "").split()) for name, deps in rows}


def section(tree: Tree, path: str, title: str) -> list[tuple[int, str]]:
    """The numbered lines of a document under its heading `title`."""
    lines, inside = [], False
    for number, line in enumerate(tree.lines(path), 1):
        if line.startswith("## "):
            inside = line == f"## {title}"
        elif inside:
            lines.append((number, line))
    return lines


@rule
def includes_follow_the_layer_table(tree: Tree):
    table = cmake_table(tree)
    if not table:
        yield Finding(LAYERS_FILE, 1, "has no set(SKEP_DEPS_...) lines")
        return
    for path in tree.matching("src/*.h", "src/*.cc"):
        layer = path.split("/")[1]
        if layer not in table:
            yield Finding(path, 1, f"layer '{layer}' does not stand in {LAYERS_FILE}")
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            if not match or not match.group(1):
                continue
            other = match.group(1).split("/")[0]
            if "/" not in match.group(1):
                yield Finding(path, number, "includes are by full path from src/")
            elif match.group(1).endswith(".cc"):
                yield Finding(path, number, "a .cc file is not to be included")
            elif other != layer and other not in table[layer]:
                yield Finding(path, number, f"layer '{layer}' may not use '{other}'")


@rule
def architecture_shows_the_layer_table(tree: Tree):
    shown = {}
    for number, line in section(tree, ARCHITECTURE, "Layers"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and re.fullmatch(r"\w+", cells[0]) and cells[0] != "layer":
            shown[cells[0]] = (number, set(cells[1].split()))
    table = cmake_table(tree)
    for name in sorted(set(table) | set(shown)):
        number, deps = shown.get(name, (1, None))
        if deps != table.get(name):
            says = "has no such row" if deps is None else f"says {sorted(deps)}"
            there = "has no such row" if name not in table else f"says {sorted(table[name])}"
            yield Finding(ARCHITECTURE, number, f"layer '{name}': the table {says}, {LAYERS_FILE} {there}")


@rule
def libraries_stay_where_they_belong(tree: Tree):
    for path in tree.cpp():
        for number, line in enumerate(tree.code(path), 1):
            for library, (pattern, homes) in LIBRARIES.items():
                if not re.search(pattern, line) or any(fnmatch.fnmatchcase(path, home) for home in homes):
                    continue
                yield Finding(path, number, f"{library} may be named only in {', '.join(homes)}")


@rule
def pure_parts_stay_pure(tree: Tree):
    for path in tree.matching(*PURE):
        if is_test(path):
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            if match and IMPURE.match(match.group(1) or match.group(2)):
                yield Finding(path, number, "a pure part takes time as an argument and returns what to do; no "
                                            f"{match.group(1) or match.group(2)} here")


@rule
def threads_only_where_architecture_lists_them(tree: Tree):
    listed = {}
    for number, line in section(tree, ARCHITECTURE, "Threads and locks"):
        for name in re.findall(r"`(\w+/[\w*.]+\.(?:cc|h|\*))`", line):
            listed["src/" + name] = number
    used = set()
    for path in tree.matching("src/*.h", "src/*.cc"):
        if is_test(path):
            continue
        for number, line in enumerate(tree.code(path), 1):
            if not THREADING.search(line):
                continue
            homes = [name for name in listed if fnmatch.fnmatchcase(path, name)]
            if not homes:
                yield Finding(path, number, f"names a lock, an atomic or a thread; {ARCHITECTURE}, 'Threads and locks', "
                                            "does not list this file")
            used.update(homes)
            if not homes:
                break  # one finding a file is enough
    for name in sorted(set(listed) - used):
        yield Finding(ARCHITECTURE, listed[name], f"lists '{name}', which names no thread, lock or atomic")
