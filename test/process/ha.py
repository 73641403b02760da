#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ha.py - three managers on a replicated PostgreSQL under faults, and an audit of all that was acknowledged.

    ha.py [--rounds 20] [--seed N] [--short] [--faults NAME,...] [--loopback]
    ha.py --measure [--kills 50] [--write-docs]

A real Patroni cluster (three of etcd, Patroni and PostgreSQL 15, strictly synchronous), three `skep up` with a worker
each, three workers that come by themselves, six clients that keep a history. Each round has a fault, drawn from the seed,
and prints how long it took until there was service again at every manager that the fault had left. Then the fault ends,
everything has to come to rest by itself, and the history is held against what stands: exit code 0 if every promise held.
"""
import argparse
import os
import random
import shutil
import signal
import sys

import ha_measure
from ha_cluster import DATABASES, Ha, MANAGERS
from ha_faults import FAULTS, SHORT
from harness import Lab
from history import UNKNOWN
from networks import Networks
from patroni import why_not


def draw(seed, rounds, can_cut, names):
    """As many faults, each kind about as often as the others."""
    generator = random.Random(f"{seed}/faults")
    possible = [name for name in names if can_cut or not FAULTS[name].needs_cut]
    drawn = []
    while len(drawn) < rounds:
        drawn += generator.sample(possible, len(possible))
    return drawn[:rounds]


def rounds(options, lab, networks):
    if not networks.can_cut:
        print(f"nothing is cut off here: {networks.why_not}", file=sys.stderr)
    ha = None
    results = []
    try:
        ha = Ha(lab, networks, options.seed)
        names = SHORT if options.short else draw(options.seed, options.rounds, networks.can_cut,
                                                options.faults or [name for name in FAULTS if name != "pause-short"])
        for number, name in enumerate(names, 1):
            if networks.can_cut or not FAULTS[name].needs_cut:
                results.append(ha.round(number, FAULTS[name](ha)))
        results.append({"round": 0, "fault": "the end", "seconds": 0.0, "findings": ha.end()})
    finally:
        if ha is not None:
            ha.database.close()
    found = [result for result in results if result["findings"]]
    history = ha.history
    print(f"seed {options.seed}: {len(results) - 1} rounds, {history.tasks_acknowledged} tasks acknowledged, "
          f"{len(history.pulled)} results pulled, {history.counts['enqueue', UNKNOWN]} enqueues and "
          f"{history.counts['pull', UNKNOWN]} pulls without an answer, {len(found)} rounds with findings")
    for result in found:
        print(f"FOUND in round {result['round']}, {result['fault']}:")
        for name, what in result["findings"].items():
            print(f"    {name}: {what[:5]}")
    return 1 if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--short", action="store_true", help="the rounds of the test suite")
    parser.add_argument("--faults", type=lambda text: text.split(","), default=None, help=", ".join(FAULTS))
    parser.add_argument("--loopback", action="store_true", help="no network namespaces: nothing is cut off")
    parser.add_argument("--logs", default=None, metavar="DIR", help="what every process wrote is copied there")
    parser.add_argument("--measure", action="store_true", help="times until there is service again, instead of rounds")
    parser.add_argument("--kills", type=int, default=50, help="of a manager, to measure; a fifth as many of the primary")
    parser.add_argument("--write-docs", action="store_true", help="what was measured goes into docs/postgres.md")
    options = parser.parse_args()
    unknown = set(options.faults or []) - set(FAULTS)
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}: {', '.join(FAULTS)}")
    if why_not():
        parser.error(why_not())
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {options.seed}", file=sys.stderr)
    networks = Networks([*DATABASES, *MANAGERS], options.loopback)
    with Lab() as lab:
        try:
            if options.measure:
                return ha_measure.measure(options, lab, networks)
            return rounds(options, lab, networks)
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            for process in lab.processes:
                if not process.name.endswith(".etcd"):
                    sys.stderr.write(f"---- {process.name} pid {process.pid}\n{process.log(3000)}\n")
            return 1
        finally:
            lab.stop_processes()
            networks.close()
            if options.logs:
                os.makedirs(options.logs, exist_ok=True)
                for process in lab.processes:
                    shutil.copy(process.stderr_path, options.logs)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
