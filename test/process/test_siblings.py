# SPDX-License-Identifier: Apache-2.0
"""Three managers share the shards of one PostgreSQL: even shares, any answers anything, and one may die, stop or leave."""
import http.client
import json
import os
import signal
import ssl
import threading
import time
import unittest

import postgres
from harness import NoAnswer, NotSent, PATIENCE, ProcessTest, Http, QUICK, reference, wait_until

SHARDS = 64


class Load(threading.Thread):
    """Enqueues by key at the managers in turn, and looks at what it enqueued; a refusal or silence is tried elsewhere."""

    def __init__(self, addresses, number):
        super().__init__(daemon=True)
        self.addresses = addresses
        self.number = number
        self.is_over = threading.Event()
        self.acknowledged = {}
        self.failures = []
        self.slowest = 0.0
        self.retries = 0

    def run(self):
        count = 0
        while not self.is_over.is_set():
            count += 1
            body = f"load {self.number} {count}".encode()
            answer = self.ask("POST", "/v1/tasks?iterations=1", body, {"Idempotency-Key": body.decode().replace(" ", "-")})
            if answer is not None:
                self.acknowledged[answer.json()["id"]] = body
                task = list(self.acknowledged)[count * 7 % len(self.acknowledged)]
                self.ask("GET", f"/v1/tasks/{task}", None, {})
            self.is_over.wait(0.02)

    def ask(self, method, path, body, headers):
        began = time.monotonic()
        turn = self.number
        while time.monotonic() < began + 20:
            http = Http(self.addresses[turn % len(self.addresses)], timeout=10)
            turn += 1
            try:
                answer = http.request(method, path, body, headers)
            except (NotSent, NoAnswer):
                answer = None
            http.close()
            if answer is not None and answer.status == 200:
                self.slowest = max(self.slowest, time.monotonic() - began)
                return answer
            if answer is not None and answer.status not in (503, 504, 500):
                break
            self.retries += 1
        self.failures.append(f"{method} {path}: {answer} after {time.monotonic() - began:.1f} s")
        return None


class SharedStore(ProcessTest):
    def setUp(self):
        super().setUp()
        self.postgres = postgres.Postgres(self.lab)
        self.lab.store = self.postgres.url

    def shares(self):
        """Owner -> how many shards, by the database."""
        rows = self.postgres.ask("SELECT coalesce(owner, 0), count(*) FROM skep.shards GROUP BY 1 ORDER BY 1").split("\n")
        return {int(owner): int(count) for owner, count in (row.split("|") for row in rows)}

    def wait_for_shares(self, managers, seconds):
        low, high = SHARDS // managers, -(-SHARDS // managers)

        def is_even():
            shares = self.shares()
            return 0 not in shares and len(shares) == managers and all(low <= share <= high for share in shares.values())

        wait_until(is_even, f"{managers} managers have {low} to {high} of {SHARDS} shards each", seconds)


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class Siblings(SharedStore):
    def start(self, count):
        managers = [self.lab.manager(QUICK) for _ in range(count)]
        self.wait_for_shares(count, 12)
        return managers

    def served_by(self, http):
        """Shard -> address, by the managers."""
        cluster = http.get("/v1/cluster").json()
        return {shard.get("shard", 0): shard["owner"] for shard in cluster.get("shards", []) if shard["state"] == "serving"}

    def begin_load(self, managers, threads=3):
        loads = [Load([manager.address for manager in managers], number) for number in range(threads)]
        for load in loads:
            load.start()
        return loads

    def wait_for_load(self, loads, count=15):
        """Each has had so many answers more."""
        before = [len(load.acknowledged) for load in loads]
        wait_until(lambda: all(len(load.acknowledged) >= had + count for load, had in zip(loads, before, strict=True)),
                   "requests are answered")

    def end_load(self, loads, http):
        """Nothing failed, and everything that was acknowledged is there."""
        for load in loads:
            load.is_over.set()
        for load in loads:
            load.join()
            self.assertEqual(load.failures, [])
            for task in load.acknowledged:
                self.assertEqual(http.get(f"/v1/tasks/{task}").status, 200, task)

    def test_one_joins_and_one_leaves_without_a_failed_request(self):
        managers = self.start(2)
        loads = self.begin_load(managers)
        self.wait_for_load(loads)
        third = self.lab.manager(QUICK)
        self.wait_for_shares(3, 10)
        self.wait_for_load(loads)
        self.assertEqual(len(self.served_by(third.http())), SHARDS)
        code, seconds = third.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5.5)
        self.wait_for_shares(2, 10)
        self.wait_for_load(loads)
        self.end_load(loads, managers[0].http())

    def test_kill_9_of_one_of_three_under_load(self):
        managers = self.start(3)
        loads = self.begin_load(managers)
        self.wait_for_load(loads)
        http = managers[0].http()
        managers[2].kill()
        killed_at = time.monotonic()
        survivors = {managers[0].address, managers[1].address}
        wait_until(lambda: set(self.served_by(http).values()) == survivors and len(self.served_by(http)) == SHARDS,
                   "every shard is served by one of the two that are left", 10)
        self.assertLess(time.monotonic() - killed_at, 6.0)
        self.end_load(loads, http)

    def test_one_that_stood_still_writes_nothing_as_a_stale_owner_and_gets_shards_again(self):
        managers = self.start(3)
        http = managers[0].http()
        loads = self.begin_load(managers[:2])
        self.wait_for_load(loads)
        stopped = managers[2]
        stopped.signal(signal.SIGSTOP)
        wait_until(lambda: len(self.shares()) == 2, "the others took its shards over", 10)
        stopped.signal(signal.SIGCONT)
        self.wait_for_shares(3, 12)
        self.wait_for_load(loads)
        self.end_load(loads, http)
        # It noticed by its own clock, before any commit had to be refused.
        self.assertIn("could not renew its claims in time", stopped.log(1 << 20))
        task = self.enqueue(stopped.http(), b"again", 1)
        self.assertEqual(self.task(http, task)["id"], task)

    def test_work_under_way_survives_kill_9_of_its_manager_and_its_restart(self):
        managers = self.start(3)
        https = [manager.http() for manager in managers]
        urls = [manager.url for manager in managers]
        workers = [self.lab.worker(",".join(urls[turn:] + urls[:turn]), ["--slots", "4"]) for turn in range(3)]
        wait_until(lambda: len(self.active_workers(https[0])) == 3, "three workers are there")
        bodies = {}
        for number in range(150):
            body = f"body {number}".encode()
            # Some run for seconds, so that leases are under way when their manager dies.
            iterations = 1_000_000 if number % 10 == 0 else 1000
            bodies[self.enqueue(https[number % 3], body, iterations)] = (body, iterations)
        managers[1].kill()
        again = self.lab.manager(QUICK, port=managers[1].address.split(":")[-1])
        for task, (body, iterations) in bodies.items():
            done = self.finished(https[0], task)
            self.assertEqual(done.get("result"), reference(body, iterations), done)
        self.wait_for_shares(3, 12)
        pulled = []
        for http in (again.http(), https[0], https[2], https[0]):
            answer = http.post("/pullCompleted?top=60").json()
            pulled += [item["id"] for item in answer["items"]]
        self.assertEqual(sorted(pulled), sorted(bodies))
        for worker in workers:
            self.assertEqual(worker.terminate()[0], 0)

    def test_work_goes_round_whoever_is_asked(self):
        managers = self.start(3)
        https = [manager.http() for manager in managers]
        workers = [self.lab.worker(managers[0], ["--slots", "4"]), self.lab.worker(managers[1], ["--slots", "4"])]
        bodies = {}
        for number in range(60):
            body = f"body {number}".encode()
            bodies[self.enqueue(https[number % 3], body, 100)] = body
        for number, (task, body) in enumerate(bodies.items()):
            self.assertEqual(self.finished(https[(number + 1) % 3], task)["result"], reference(body, 100))
        listed = set()
        cursor = ""
        while True:
            page = https[1].get(f"/v1/tasks?limit=7&cursor={cursor}").json()
            ids = [task["id"] for task in page.get("tasks", [])]
            self.assertEqual(ids, sorted(ids))
            self.assertFalse(listed & set(ids))
            listed |= set(ids)
            cursor = page.get("next_cursor", "")
            if not cursor:
                break
        self.assertEqual(listed, set(bodies))
        self.assertEqual(https[2].get("/v1/cluster").json()["tasks"]["done"], 60)
        self.assertEqual(len(self.workers(https[2])), 2)
        pulled = https[0].post("/pullCompleted?top=40").json()["items"]
        self.assertEqual(len(pulled), 40)
        answer = https[1].post("/v1/results:pull?max=100").json()
        pulled += answer["items"]
        self.assertEqual(https[2].post("/v1/results:ack", {"receipt": answer["receipt"]}).json()["acknowledged"], 20)
        self.assertEqual({item["id"] for item in pulled}, set(bodies))
        self.assertEqual(https[2].post("/pullCompleted?top=40").json()["items"], [])
        for worker in workers:
            self.assertEqual(worker.terminate()[0], 0)


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class FleetOfSiblings(SharedStore):
    """Exactly one manager sizes the fleet, for the tasks in the shards of all, whoever started the workers."""

    def scaling(self, manager):
        return manager.http().get("/v1/scaling?limit=1").json()

    def leader(self, managers):
        """Waits until all name the same one, which leads and has heard all; gives it."""

        def agreed():
            found = [self.scaling(manager) for manager in managers]
            names = {scaling["state"].get("leader") for scaling in found}
            is_whole = all(len(scaling.get("parts", [])) == len(managers) for scaling in found)
            return len(names) == 1 and is_whole and names.pop()

        address = wait_until(agreed, "all managers name one leader that has heard all", PATIENCE)
        return next(manager for manager in managers if manager.address == address)

    def finish_all(self, managers, count, iterations):
        """So many tasks at each manager; each is done, and right. The ids by manager."""
        bodies = {}
        for turn, manager in enumerate(managers):
            http = manager.http()
            for number in range(count):
                body = f"{turn} {number} {time.monotonic()}".encode()
                bodies[self.enqueue(http, body, iterations)] = body
        http = managers[0].http()
        for task, body in bodies.items():
            self.assertEqual(self.finished(http, task)["result"], reference(body, iterations))

    def children(self, managers):
        return [len(manager.children()) for manager in managers]

    def test_tasks_of_managers_without_a_provisioner_are_done_by_workers_of_one_up(self):
        managers = [self.lab.manager(QUICK), self.lab.manager(QUICK),
                    self.lab.manager([*QUICK, "--max-workers", "2", "--idle-hold", "1s"], command="up")]
        self.wait_for_shares(3, PATIENCE)
        self.finish_all(managers, 5, 1000)
        self.assertEqual(self.children(managers)[:2], [0, 0])
        leader = self.leader(managers)
        for manager in managers:
            scaling = self.scaling(manager)
            self.assertEqual((scaling["state"]["role"], scaling["state"]["leader"]), ("leads", leader.address))
            self.assertEqual(scaling["state"]["max_workers"], 2)
        told = self.lab.run("status", "--manager", managers[2].url).stdout.decode()
        self.assertIn(f"3, of which {leader.address} sizes the fleet", told)
        told = self.lab.run("explain", "scaling", "--manager", managers[1].url).stdout.decode()
        for manager in managers:
            self.assertIn(manager.address, told)
        wait_until(lambda: self.children(managers) == [0, 0, 0], "the workers go when there is nothing left", 40)

    def test_after_kill_9_of_the_leader_one_other_scales_and_all_tasks_are_done(self):
        managers = [self.lab.manager(["--min-workers", "1", "--max-workers", "1"], command="up") for _ in range(3)]
        self.wait_for_shares(3, PATIENCE)
        leader = self.leader(managers)
        # Something for every worker there may be, while the leader dies.
        https = [manager.http() for manager in managers if manager is not leader]
        bodies = {}
        for number in range(24):
            body = f"long {number}".encode()
            bodies[self.enqueue(https[number % 2], body, 500_000)] = body
        wait_until(lambda: self.children(managers) == [1, 1, 1], "each machine has its worker")
        leader.kill()
        left = [manager for manager in managers if manager is not leader]
        self.leader(left)
        self.assertEqual(self.scaling(left[0])["state"]["max_workers"], 2)
        for task, body in bodies.items():
            self.assertEqual(self.finished(https[0], task)["result"], reference(body, 500_000))
        self.finish_all(left, 5, 100)
        # What ran went on: nobody started a worker twice, or one more than it may.
        for manager in left:
            log = manager.log(1 << 20)
            self.assertEqual(log.count("launched instance="), 1, log)
        self.assertEqual(self.children(left), [1, 1])


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class SiblingsWithTokens(SharedStore):
    """The same store with tokens: managers call each other with one of their role, and nobody else passes for one."""

    def token(self, role):
        ended = self.lab.run("token", "create", "--role", role, "--store", self.postgres.url)
        self.assertEqual(ended.returncode, 0, ended.stderr.decode())
        return ended.stdout.decode().strip()

    def start_with(self, *arguments):
        managers = [self.lab.manager([*QUICK, *arguments]) for _ in range(2)]
        self.wait_for_shares(2, 12)
        return managers

    def ask_for_all(self, managers, tasks, headers):
        """The statuses with which the second manager answers for tasks that the first took."""
        return {managers[1].http().request("GET", f"/v1/tasks/{task}", headers=headers).status for task in tasks}

    def enqueue(self, manager, headers):
        answers = [manager.http().request("POST", "/v1/tasks?iterations=1", b"x", headers) for _ in range(5)]
        self.assertEqual({answer.status for answer in answers}, {200})
        return [answer.json()["id"] for answer in answers]

    def test_any_manager_answers_where_they_have_a_token_of_their_own(self):
        client = {"Authorization": "Bearer " + self.token("client")}
        path = self.lab.path("sibling")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.token("sibling") + "\n")
        managers = self.start_with("--sibling-token-file", path)
        tasks = self.enqueue(managers[0], client)
        self.assertEqual(self.ask_for_all(managers, tasks, client), {200})
        # Who says that he is a sibling and has no such token is answered as everybody is.
        self.assertEqual(self.ask_for_all(managers, tasks, {**client, "Skep-Forwarded": "1"}), {200})

    def test_without_one_they_answer_from_their_own_shards_alone(self):
        client = {"Authorization": "Bearer " + self.token("client")}
        managers = self.start_with()
        tasks = self.enqueue(managers[0], client)
        self.assertEqual(self.ask_for_all(managers, tasks, client), {503})
        # They say so, at their start and to who asks.
        self.assertIn("without --sibling-token-file", managers[0].log(1 << 20))
        path = self.lab.path("client")
        with open(path, "w", encoding="ascii") as file:
            file.write(client["Authorization"].split()[1] + "\n")
        told = self.lab.run("status", "--manager", managers[0].url, "--token-file", path).stdout.decode()
        self.assertIn(f"WARNING: {managers[0].address}: there are tokens", told)


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class SiblingsWithTls(SharedStore):
    def ask(self, manager, method, path, body=None):
        context = ssl.create_default_context(cafile=self.ca)
        host, _, port = manager.address.rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=context)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def start_with(self, *arguments):
        managers = [self.lab.manager([*QUICK, "--tls", "auto", "--tls-dir", os.path.dirname(self.ca), *arguments])
                    for _ in range(2)]
        self.wait_for_shares(2, 12)
        return managers

    def setUp(self):
        super().setUp()
        self.ca = self.lab.path("tls", "ca.pem")
        # Its first start makes the authority.
        self.lab.manager([*QUICK, "--tls", "auto", "--tls-dir", os.path.dirname(self.ca)]).terminate()

    def enqueue_five(self, manager):
        answers = [self.ask(manager, "POST", "/v1/tasks?iterations=1", b"x") for _ in range(5)]
        self.assertEqual({status for status, _ in answers}, {200})
        return [task["id"] for _, task in answers]

    def test_any_manager_answers_where_they_trust_each_other(self):
        managers = self.start_with("--sibling-ca", self.ca)
        for task in self.enqueue_five(managers[0]):
            self.assertEqual(self.ask(managers[1], "GET", f"/v1/tasks/{task}")[0], 200)
        self.assertEqual(len(self.ask(managers[1], "GET", "/v1/cluster")[1]["shards"]), SHARDS)

    def test_one_that_is_not_trusted_is_not_believed(self):
        managers = self.start_with()
        self.assertEqual(self.ask(managers[1], "GET", "/v1/cluster")[1]["silent"], [managers[0].address])


if __name__ == "__main__":
    unittest.main(verbosity=2)
