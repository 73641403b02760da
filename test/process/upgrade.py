#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""upgrade.py - three managers on one PostgreSQL, replaced one by one by another build under load, and an audit.

    upgrade.py --old SKEP --new SKEP [--seed N] [--clients 6]

Managers and workers of the old build begin; six clients keep a history. Then one after the other is ended by SIGTERM and
started again at its address as the new build: managers and workers in turn, so that each old one meets new ones of the
other kind. Between two steps there is service at every manager. At last all that was acknowledged is held against what
stands: nothing is lost, given twice or wrong. Exit code 0 if so. `./dev upgrade` builds the old one.
"""
import argparse
import random
import sys
import threading
import time

import chaos
import postgres
from ha_cluster import AnyManager
from harness import BIN, Http, Lab, NoAnswer, PATIENCE, Process, free_port, wait_until
from history import Audit, History, UNKNOWN

SHARDS = 64
MANAGERS = 3
WORKERS = 3
BETWEEN_SECONDS = 1.0


class Build:
    """One of the two programs."""

    def __init__(self, name, path):
        self.name = name
        self.path = path


class Upgrade:
    def __init__(self, lab, old, new, seed, clients=6, between=BETWEEN_SECONDS):
        self.lab = lab
        self.seed = seed
        self.between = between
        self.history = History()
        self.is_over = threading.Event()
        self.random = random.Random(seed)
        self.old, self.new = old, new
        self.database = postgres.Postgres(lab)
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(MANAGERS)]
        self.managers = [self.start_manager(at, old) for at in range(MANAGERS)]
        self.workers = []
        self.wait_for_managers()
        self.workers = [self.start_worker(old) for _ in range(WORKERS)]
        self.clients = [chaos.Client(self, f"client.{turn}") for turn in range(clients)]
        self.steps = []

    # ---- what chaos.Client asks of its world ----

    def connection(self, name):
        return AnyManager(self.addresses, int(name.rpartition(".")[2]))

    def wait_for_manager(self):
        self.is_over.wait(0.05)

    # ---- processes ----

    def start_manager(self, at, build):
        return Process(self.lab, f"manager-{build.name}", [
            build.path, "manager", "--listen", self.addresses[at], "--store", self.database.url])

    def start_worker(self, build):
        urls = [f"http://{address}" for address in self.addresses]
        turn = len(self.workers) % MANAGERS
        return Process(self.lab, f"worker-{build.name}", [
            build.path, "worker", "--manager", ",".join(urls[turn:] + urls[:turn]), "--cores", "1", "--slots", "2"])

    def ask(self, at, path):
        """The answer's JSON; None if there is none with status 200."""
        http = Http(self.addresses[at], timeout=5)
        try:
            answer = http.get(path)
            return answer.json() if answer.status == 200 else None
        except NoAnswer:
            return None
        finally:
            http.close()

    def is_even(self):
        """Each manager says that every shard is served, and that each of them serves its share."""
        for at in range(MANAGERS):
            cluster = self.ask(at, "/v1/cluster") or {}
            owners = [shard["owner"] for shard in cluster.get("shards", []) if shard["state"] == "serving"]
            shares = [owners.count(address) for address in self.addresses]
            if len(owners) != SHARDS or not all(SHARDS // MANAGERS <= share <= SHARDS // MANAGERS + 1 for share in shares):
                return False
        return True

    def wait_for_managers(self):
        for manager in self.managers:
            line = manager.wait_for_first_line()
            if not line.startswith("listening on "):
                raise AssertionError(f"{manager.name} did not come up: {line!r}; {manager.log()}")
        wait_until(self.is_even, "each manager serves its share of the shards", PATIENCE)

    # ---- the upgrade ----

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def wait_for_load(self, count=20):
        """So many more tasks are acknowledged, and results pulled."""
        history = self.history
        tasks, pulled = history.tasks_acknowledged + count, len(history.pulled) + count
        wait_until(lambda: history.tasks_acknowledged >= tasks and len(history.pulled) >= pulled, "there is service")

    def replace(self, processes, at, start, build):
        began = time.monotonic()
        code, _ = processes[at].terminate()
        if code != 0:
            self.history.surprise(f"{processes[at].name} ended with {code}: {processes[at].log()}")
        processes[at] = start()
        self.wait_for_managers()
        self.wait_for_load()
        self.say(f"{processes[at].name} {at + 1} of {len(processes)} is of the {build.name} build after "
                 f"{time.monotonic() - began:.1f} s")
        self.is_over.wait(self.between)

    def go_to(self, build):
        """Managers and workers in turn."""
        for at in range(max(MANAGERS, WORKERS)):
            if at < MANAGERS:
                self.replace(self.managers, at, lambda at=at: self.start_manager(at, build), build)
            if at < WORKERS:
                self.replace(self.workers, at, lambda: self.start_worker(build), build)

    def run(self, and_back=False):
        """The findings, empty if every promise held."""
        for client in self.clients:
            client.start()
        self.wait_for_load()
        self.go_to(self.new)
        if and_back:
            self.go_to(self.old)
        self.is_over.set()
        for client in self.clients:
            client.join(2 * PATIENCE)
        return self.check()

    def is_at_rest(self):
        cluster = self.ask(0, "/v1/cluster")
        if cluster is None or cluster.get("silent"):
            return False
        return not any(cluster.get("tasks", {}).get(state) for state in ("queued", "leased", "delayed"))

    def check(self):
        wait_until(self.is_at_rest, "every task is finished", 2 * PATIENCE)
        http = Http(self.addresses[self.random.randrange(MANAGERS)])
        while True:
            answer = http.post("/pullCompleted?top=10000")
            items = answer.json()["items"] if answer.status == 200 else []
            if not items:
                break
            self.history.results_pulled([(item["id"], item["result"]) for item in items])
        audit = Audit(self.history, http).run()
        http.close()
        findings = {name: what for name, what in audit.findings.items() if what}
        for process in (*self.workers, *self.managers):
            code, _ = process.terminate()
            if code != 0:
                findings.setdefault("ends", []).append(f"{process.name}: {code}")
        self.say(f"{self.history.tasks_acknowledged} tasks acknowledged, {len(self.history.pulled)} results pulled, "
                 f"{self.history.counts['enqueue', UNKNOWN]} enqueues and {self.history.counts['pull', UNKNOWN]} pulls "
                 f"without an answer, {audit.read_by_id} results read by their ids")
        return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, metavar="SKEP")
    parser.add_argument("--new", default=BIN, metavar="SKEP")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--and-back", action="store_true", help="then to the old build again, one by one")
    options = parser.parse_args()
    with Lab() as lab:
        upgrade = Upgrade(lab, Build("old", options.old), Build("new", options.new), options.seed, options.clients)
        findings = upgrade.run(options.and_back)
        for name, what in findings.items():
            print(f"FOUND {name}: {what[:5]}")
        if not findings:
            print("nothing lost, given twice or wrong")
        return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
