# SPDX-License-Identifier: Apache-2.0
"""ha_cluster.py - three managers on a replicated PostgreSQL, with workers and clients, for ha.py.

Threads: the test's thread; clients have one each.
"""
import json
import os
import random
import sys
import threading
import time

import chaos
from harness import BIN, Http, NoAnswer, NotSent, PATIENCE, Process, free_port, wait_until
from history import Audit, History
from patroni import Patroni

SHARDS = 64
CLIENTS = 6
WORKERS_APART = 3
DATABASES = ["d1", "d2", "d3"]
MANAGERS = ["m1", "m2", "m3"]
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def shard_of(task):
    """The shard that a task's id names: its highest 16 of 96 bits."""
    bits = 0
    for letter in task:
        bits = bits << 5 | ALPHABET.index(letter)
    return bits >> 80


class AnyManager:
    """As Http, at one manager until it gives no answer or no service, then at the next."""

    def __init__(self, addresses, turn):
        self.connections = [Http(address, timeout=20) for address in addresses]
        self.turn = turn

    def request(self, method, path, body=None, headers=None):
        try:
            answer = self.connections[self.turn % len(self.connections)].request(method, path, body, headers)
        except NoAnswer:
            self.turn += 1
            raise
        if answer.status in (500, 503, 504):
            self.turn += 1
        return answer

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None):
        return self.request("POST", path, json.dumps(body).encode() if isinstance(body, dict) else body or b"")

    def close(self):
        for connection in self.connections:
            connection.close()


class Peer(Process):
    """`skep up` on a machine of its own, always at the same address."""

    def __init__(self, ha, name):
        self.machine = name
        self.address = ha.addresses[name]
        super().__init__(ha.lab, name, [
            *ha.networks.prefix(name), BIN, "up", "--listen", self.address, "--insecure", "--store", ha.database.url,
            "--min-workers", "1", "--max-workers", "1", "--target-wait", "5s"])

    def ready(self):
        line = self.wait_for_first_line()
        if not line.startswith("listening on "):
            raise AssertionError(f"{self.machine} did not come up: {line!r}")
        return self

    def http(self, timeout=3):
        return Http(self.address, timeout=timeout)

    def ask(self, path, timeout=3):
        """The answer's JSON; None if there is none with status 200."""
        http = self.http(timeout)
        try:
            answer = http.get(path)
            return answer.json() if answer.status == 200 else None
        except NoAnswer:
            return None
        finally:
            http.close()


class Ha:
    def __init__(self, lab, networks, seed):
        self.lab = lab
        self.networks = networks
        self.seed = seed
        self.random = random.Random(seed)
        self.history = History()
        self.is_over = threading.Event()
        self.probes = 0
        began = time.monotonic()
        self.database = Patroni(lab, networks, DATABASES)
        self.addresses = {name: f"{networks.addresses[name]}:{free_port()}" for name in MANAGERS}
        self.managers = {name: Peer(self, name) for name in MANAGERS}
        for manager in self.managers.values():
            manager.ready()
        urls = [f"http://{address}" for address in self.addresses.values()]
        self.workers = [lab.worker(",".join(urls[turn:] + urls[:turn]), ["--cores", "1", "--slots", "2"])
                        for turn in range(WORKERS_APART)]
        self.wait_until_even()
        self.say(f"everything runs after {time.monotonic() - began:.1f} s")

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    # ---- what Client asks of its world ----

    def connection(self, name):
        """That of a client: each begins at another manager."""
        return AnyManager(list(self.addresses.values()), int(name.rpartition(".")[2]))

    def wait_for_manager(self):
        self.is_over.wait(0.05)

    # ---- what is ----

    def owners(self, manager):
        """Shard -> address of who serves it, as this manager gathers it; nothing while it gives no answer."""
        cluster = manager.ask("/v1/cluster") or {}
        return {shard.get("shard", 0): shard["owner"] for shard in cluster.get("shards", []) if shard["state"] == "serving"}

    def live(self):
        return [manager for manager in self.managers.values() if manager.is_running()]

    def is_even(self):
        """Every manager serves its share, and says so itself."""
        owners = self.owners(self.managers[MANAGERS[0]])
        shares = [list(owners.values()).count(address) for address in self.addresses.values()]
        return len(owners) == SHARDS and all(SHARDS // len(MANAGERS) <= share <= SHARDS // len(MANAGERS) + 1
                                             for share in shares)

    def wait_until_even(self):
        wait_until(self.is_even, "every manager serves its share of the shards", PATIENCE)

    def leads(self):
        """The address of the one that sizes the fleet; None while they do not agree or it has not heard all."""
        found = [manager.ask("/v1/scaling?limit=1") or {} for manager in self.managers.values()]
        names = {scaling.get("state", {}).get("leader") for scaling in found}
        return names.pop() if len(names) == 1 and all(len(one.get("parts", [])) == len(MANAGERS) for one in found) else None

    # ---- service ----

    def probe(self, manager, timeout=2):
        """An enqueue that is acknowledged."""
        self.probes += 1
        task = self.history.want(f"probe {self.probes}".encode(), 1)
        http = manager.http(timeout)
        try:
            answer = http.put("/enqueue?iterations=1", task.body)
        except NotSent:
            return False
        except NoAnswer:
            self.history.enqueue_unknown(task)
            return False
        finally:
            http.close()
        if answer.status == 200:
            self.history.enqueued(task, answer.json()["id"])
        elif chaos.is_unknown(answer):
            self.history.enqueue_unknown(task)
        return answer.status == 200

    def wait_for_service(self, names, hurt=()):
        """Until each of the managers named acknowledges and knows of an owner, not hurt, for every shard. The seconds."""
        began = time.monotonic()
        for name in names:
            manager = self.managers[name]

            def is_served(manager=manager):
                owners = self.owners(manager)
                return len(owners) == SHARDS and not set(owners.values()) & {self.addresses[one] for one in hurt}

            wait_until(lambda manager=manager: self.probe(manager), f"{name} acknowledges again", PATIENCE)
            wait_until(is_served, f"{name} finds every shard served", PATIENCE)
        return time.monotonic() - began

    # ---- rounds ----

    def start_clients(self, name):
        self.is_over.clear()
        clients = [chaos.Client(self, f"{name}.{turn}") for turn in range(CLIENTS)]
        for client in clients:
            client.start()
        return clients

    def end_clients(self, clients):
        self.is_over.set()
        for client in clients:
            client.join(2 * PATIENCE)

    def start_again(self, name):
        self.managers[name] = Peer(self, name)

    def round(self, number, fault):
        clients = self.start_clients(number)
        self.is_over.wait(self.random.uniform(0.5, 1.5))
        what = fault.begin()
        seconds = self.wait_for_service(fault.left(), fault.hurt())
        self.is_over.wait(max(0.0, fault.holds() - seconds))
        fault.end()
        for manager in self.managers.values():
            manager.ready()
        self.wait_until_even()
        self.end_clients(clients)
        findings = self.check()
        self.say(f"round {number}: {what}: service after {seconds:.1f} s; {self.history.tasks_acknowledged} acknowledged, "
                 f"{len(self.history.pulled)} pulled, {'FINDINGS' if findings else 'nothing lost, twice or wrong'}")
        self.database.wait_until_safe()
        return {"round": number, "fault": what, "seconds": seconds, "findings": findings}

    def is_at_rest(self):
        for manager in self.managers.values():
            cluster = manager.ask("/v1/cluster")
            if cluster is None or cluster.get("silent"):
                return False
            if any(cluster.get("tasks", {}).get(state) for state in ("queued", "leased", "delayed")):
                return False
        return True

    def check(self):
        """At rest, which has to come by itself: what was promised, against what stands."""
        wait_until(self.is_at_rest, "every task is finished after the fault ended", 2 * PATIENCE)
        manager = self.managers[self.random.choice(MANAGERS)]
        http = manager.http(PATIENCE)
        while True:
            answer = http.post("/pullCompleted?top=10000")
            items = answer.json()["items"] if answer.status == 200 else []
            if not items:
                break
            self.history.results_pulled([(item["id"], item["result"]) for item in items])
        findings = dict(Audit(self.history, http).run().findings)
        http.close()
        wait_until(self.leads, "all name one manager that sizes the fleet", PATIENCE)
        # At most as many workers as may be, and as many as must.
        wait_until(lambda: len((manager.ask("/v1/workers") or {}).get("workers", [])) >= WORKERS_APART, "workers are there")
        for name, one in self.managers.items():
            children = len(self.children(one))
            if children > 1:
                findings.setdefault("too many workers", []).append(f"{name} has {children}")
        return {name: what for name, what in findings.items() if what}

    def children(self, manager):
        found = set()
        for thread in os.listdir(f"/proc/{manager.pid}/task"):
            try:
                with open(f"/proc/{manager.pid}/task/{thread}/children", encoding="ascii") as file:
                    found.update(file.read().split())
            except FileNotFoundError:
                pass
        return found

    def end(self):
        """Everything that was not killed ends by itself when it is told to."""
        findings = {}
        for worker in self.workers:
            code, seconds = worker.terminate()
            if code != 0:
                findings.setdefault("a worker's end", []).append(f"exit code {code} after {seconds:.1f} s")
        for name, manager in self.managers.items():
            code, seconds = manager.terminate()
            if code != 0 or seconds > 8:
                findings.setdefault("a manager's end", []).append(f"{name}: exit code {code} after {seconds:.1f} s")
        return findings
