# SPDX-License-Identifier: Apache-2.0
"""Two managers, each with a store of its own, that were registered with each other: they share pulls and leases, and
the crash of one loses nothing and gives nothing twice."""
import http.client
import json
import signal
import threading
import time
import unittest

from harness import Http, NoAnswer, NotSent, PATIENCE, ProcessTest, QUICK, free_port, reference, wait_until


class SeedWorker(threading.Thread):
    """As the seed has it: asks one manager for work and pushes what it computed. A new connection for each call."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.is_stopping = threading.Event()
        self.pushed = 0
        self.surprises = []

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def run(self):
        while not self.is_stopping.is_set():
            try:
                self.work()
            except (OSError, http.client.HTTPException):
                self.is_stopping.wait(0.05)  # it was killed: its task is given to somebody else

    def work(self):
        response, body = self.call("GET", "/getwork")
        if response.status != 200:
            self.is_stopping.wait(0.02)
            return
        result = reference(body, int(response.headers["X-Iterations"]))
        response, body = self.call("POST", "/pushResult", json.dumps({"result": result}))
        # After a crash of the manager nothing of the lease may be known, or the sibling that gave it is away.
        if response.status == 200:
            self.pushed += 1
        elif response.status not in (404, 409, 503, 504, 500):
            self.surprises.append((response.status, body))

    def stop(self):
        self.is_stopping.set()
        self.join()


class Puller(threading.Thread):
    """As the seed's client has it: pulls at one manager, again and again."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.is_stopping = threading.Event()
        self.items = []
        self.unanswered = 0
        self.silent = 0
        self.surprises = []

    def run(self):
        link = Http(self.address, timeout=10)
        while not self.is_stopping.is_set():
            try:
                answer = link.post("/pullCompleted?top=5")
            except NotSent:
                answer = None
            except NoAnswer:
                self.unanswered += 1
                answer = None
            if answer is not None and answer.status == 200:
                message = answer.json()
                self.items += [(item["id"], item["result"]) for item in message["items"]]
                self.silent += "silent" in message
            elif answer is not None and answer.status not in (500, 503, 504):
                self.surprises.append(answer)
            self.is_stopping.wait(0.02)
        link.close()

    def stop(self):
        self.is_stopping.set()
        self.join()


# What a seed worker drops, and what a manager pulled that then stood still, is to come back while the test looks on.
ARGUMENTS = [*QUICK, "--seed-lease", "2s", "--visibility", "3s"]


class OwnStores(ProcessTest):
    def start(self):
        self.managers = [self.lab.manager(ARGUMENTS, self.lab.path(f"store{at}"), free_port()) for at in range(2)]
        return self.managers

    def join(self):
        """As the seed does it: each is registered at each, itself too, and again."""
        for _ in range(2):
            for manager in self.managers:
                for other in self.managers:
                    answer = manager.http().post(f"/register_sibling?sibling={other.address}")
                    self.assertEqual((answer.status, answer.body), (200, b"ok"))

    def start_again(self, at):
        before = self.managers[at]
        self.managers[at] = self.lab.manager(ARGUMENTS, before.directory, before.address.rpartition(":")[2])
        return self.managers[at]

    def put(self, link, body, iterations):
        answer = link.put(f"/enqueue?iterations={iterations}", body)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["id"]

    def test_the_seeds_clients_and_workers_on_either_while_one_is_killed(self):
        first, second = self.start()
        self.join()
        # All the seed's workers are the one's, and the native one is the other's.
        helpers = [SeedWorker(first.address), SeedWorker(first.address)]
        for helper in helpers:
            helper.start()
        native = self.lab.worker(second, ["--slots", "2"])
        pullers = [Puller(manager.address) for manager in self.managers]
        for puller in pullers:
            puller.start()
        links = [manager.http() for manager in self.managers]
        wanted = {}
        for number in range(300):
            if number in (150, 200):
                at = 1 if number == 150 else 0
                self.managers[at].kill()
                self.start_again(at)
                links = [manager.http() for manager in self.managers]
            body = b"either %d" % number
            iterations = 20_000 if number % 10 == 0 else 100
            wanted[self.put(links[number % 2], body, iterations)] = (body, iterations)
        self.assertEqual(len(wanted), 300, "an id is not given twice")
        links = [manager.http() for manager in self.managers]

        def is_done():
            counts = [link.get("/v1/cluster").json().get("tasks", {}) for link in links]
            return sum(count.get("done", 0) for count in counts) >= len(wanted) and \
                not any(count.get("undelivered", 0) for count in counts)
        wait_until(is_done, "every task is done and was pulled")
        for thread in (*pullers, *helpers):
            thread.stop()
            self.assertEqual(thread.surprises, [])
        pulled = [item for puller in pullers for item in puller.items]
        self.assertEqual(len(pulled), len({task for task, _ in pulled}), "a result was given twice")
        for task, result in pulled:
            self.assertEqual(result, reference(*wanted[task]))
        # What was marked when its manager, or the one that passed it on, was killed is still there.
        missing = set(wanted) - {task for task, _ in pulled}
        print(f"\npushed: {[helper.pushed for helper in helpers]}, pulled: {[len(puller.items) for puller in pullers]}, "
              f"unanswered: {[puller.unanswered for puller in pullers]}, read by their ids: {len(missing)}")
        if missing:
            self.assertTrue(any(puller.unanswered + puller.silent for puller in pullers), missing)
        for task in missing:
            self.assertEqual(self.task(links[0], task)["result"], reference(*wanted[task]))
        self.assertTrue(all(helper.pushed for helper in helpers))
        self.assertEqual(native.terminate()[0], 0)

    def test_results_of_both_come_in_the_order_in_which_they_were_done(self):
        first, second = self.start()
        self.join()
        worker = self.lab.worker(first, ["--slots", "1"])
        links = [first.http(), second.http()]
        ids = []
        for number in range(10):
            ids.append(self.enqueue(links[number % 2], b"in order %d" % number, 10))
            self.finished(links[1 - number % 2], ids[-1])
        self.assertEqual([len(self.workers(link)) for link in links], [1, 0])
        items = [item["id"] for _ in range(3) for item in links[1].post("/pullCompleted?top=4").json()["items"]]
        self.assertEqual(items, ids)
        self.assertEqual(links[0].post("/pullCompleted?top=4").json(), {"results": [], "items": []})
        self.assertEqual(worker.terminate()[0], 0)

    def test_siblings_are_known_after_a_crash_and_a_worker_keeps_what_it_has_of_either(self):
        first, second = self.start()
        self.join()
        worker = self.lab.worker(first, ["--slots", "2"])
        wait_until(lambda: self.active_workers(first.http()), "the worker is there")
        long = self.enqueue(second.http(), b"long", 3_000_000)
        wait_until(lambda: self.task(second.http(), long)["state"] == "leased", "the sibling's task is under way")
        first.kill()
        first = self.start_again(0)
        self.assertIn(second.address, first.http().get("/get_managers").json()["managers"])
        done = self.finished(first.http(), long)
        self.assertEqual(done["result"], reference(b"long", 3_000_000))
        task = self.enqueue(second.http(), b"short", 10)
        self.assertEqual(self.finished(first.http(), task)["result"], reference(b"short", 10))
        self.assertEqual(worker.terminate()[0], 0)

    def test_one_that_stands_still_is_named_and_what_it_has_comes_later(self):
        first, second = self.start()
        self.join()
        worker = self.lab.worker(f"{first.url}", ["--slots", "2"])
        links = [first.http(), second.http()]
        ids = [self.enqueue(link, b"of %d" % at, 10) for at, link in enumerate(links)]
        for task in ids:
            for link in links:  # each knows of the other
                self.finished(link, task)
        second.signal(signal.SIGSTOP)
        began = time.monotonic()
        answer = links[0].post("/pullCompleted?top=10").json()
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(([item["id"] for item in answer["items"]], answer["silent"]), (ids[:1], [second.address]))
        wait_until(lambda: second.address in " ".join(links[0].get("/v1/cluster").json().get("warnings", [])),
                   "the status says that it is silent")
        began = time.monotonic()
        answer = links[0].post("/v1/results:pull?max=10").json()
        self.assertLess(time.monotonic() - began, 0.8, "it is known to be silent")
        self.assertEqual(answer["silent"], [second.address])
        second.signal(signal.SIGCONT)
        items = wait_until(lambda: links[0].post("/pullCompleted?top=10").json()["items"], "the other result")
        self.assertEqual([item["id"] for item in items], ids[1:])
        self.assertEqual(worker.terminate()[0], 0)


class OwnStoresWithTokens(ProcessTest):
    """Each has tokens of its own: one of role sibling of the other's lets it in."""

    def create(self, at, role):
        ended = self.lab.run("token", "create", "--role", role, "--store", f"rocksdb:{self.lab.path(f'store{at}')}")
        self.assertEqual(ended.returncode, 0, ended.stderr.decode())
        return ended.stdout.decode().strip()

    def test_who_is_let_in_helps_and_who_is_not_is_named(self):
        clients = [{"Authorization": f"Bearer {self.create(at, 'admin')}"} for at in range(2)]
        token = self.create(1, "sibling")
        path = self.lab.path("token")
        with open(path, "w", encoding="ascii") as file:
            file.write(token)
        second = self.lab.manager(QUICK, self.lab.path("store1"), free_port())
        first = self.lab.manager([*QUICK, "--sibling", second.address, "--sibling-token-file", path],
                                 self.lab.path("store0"), free_port())
        # The second has none for the first, which refuses it.
        answer = second.http().post(f"/register_sibling?sibling={first.address}", headers=clients[1])
        self.assertEqual(answer.status, 200, answer)
        ids = []
        for manager, headers in zip((first, second), clients, strict=True):
            link = manager.http()
            answer = link.post("/v1/tasks?iterations=1", b"x", headers=headers)
            ids.append(answer.json()["id"])
        link = first.http()
        for task in ids:
            answer = link.get(f"/v1/tasks/{task}", headers=clients[0])
            self.assertEqual((answer.status, answer.json()["state"]), (200, "queued"), answer)
        answer = second.http().post("/pullCompleted?top=1", headers=clients[1])
        self.assertEqual((answer.status, answer.json()["silent"]), (200, [first.address]))
        warnings = second.http().get("/v1/cluster", headers=clients[1]).json()["warnings"]
        self.assertIn("--sibling-token-file", warnings[0])
        self.assertNotIn(token, second.log(1 << 20) + first.log(1 << 20))


if __name__ == "__main__":
    unittest.main(verbosity=2)
