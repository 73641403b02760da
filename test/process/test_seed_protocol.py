# SPDX-License-Identifier: Apache-2.0
"""The seed's client and worker, played from docs/protocol.md, together with native workers on one manager."""
import hashlib
import http.client
import json
import subprocess
import threading
import unittest

from harness import BIN, PATIENCE, QUICK, Http, Process, ProcessTest, reference, wait_until


class SeedWorker(threading.Thread):
    """Asks for the managers, then for work, hashes, and pushes. A new connection for each call, as a plain HTTP
    client makes it, or one that is kept."""

    def __init__(self, address, keeps_connection):
        super().__init__(daemon=True)
        self.address = address
        self.keeps_connection = keeps_connection
        self.is_stopping = threading.Event()
        self.pushed = 0
        self.exit_asked = False
        self.surprises = []
        self.http = None

    def call(self, method, path, body=None):
        if self.http is None or not self.keeps_connection:
            if self.http is not None:
                self.http.close()
            self.http = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        self.http.request(method, path, body=body)
        response = self.http.getresponse()
        return response, response.read()

    def run(self):
        response, body = self.call("GET", "/get_managers")
        managers = json.loads(body)["managers"]
        if response.status != 200 or managers[0] != self.address:
            self.surprises.append((response.status, body))
        while not self.is_stopping.is_set():
            response, body = self.call("GET", "/getwork")
            if response.status == 204:
                self.is_stopping.wait(0.02)  # nothing to do: ask again a little later
                continue
            if response.status == 400:
                self.exit_asked = True
                break
            digest = hashlib.sha512(body).digest()
            for _ in range(int(response.headers["X-Iterations"]) - 1):
                digest = hashlib.sha512(digest).digest()
            response, body = self.call("POST", "/pushResult", json.dumps({"result": digest.hex()}))
            if response.status != 200 or json.loads(body) != {"status": "success"}:
                self.surprises.append((response.status, body))
            else:
                self.pushed += 1
        if self.http is not None:
            self.http.close()

    def stop(self):
        self.is_stopping.set()
        self.join()


class SeedProtocol(ProcessTest):
    def put(self, client, body, iterations, headers=None):
        answer = client.put(f"/enqueue?iterations={iterations}", body, headers=headers or {})
        self.assertEqual(answer.status, 200, answer)
        message = answer.json()
        self.assertEqual(message["status"], "success")
        return message["id"]

    def pull_all(self, client, count):
        items = []

        def has_all():
            answer = client.post("/pullCompleted?top=7")
            self.assertEqual(answer.status, 200, answer)
            message = answer.json()
            self.assertEqual(message["results"], [item["result"] for item in message["items"]])
            self.assertLessEqual(len(message["items"]), 7)
            items.extend(message["items"])
            return len(items) >= count
        wait_until(has_all, f"{count} results")
        return items

    def test_seed_workers_and_native_ones_share_the_work(self):
        manager = self.lab.manager(QUICK)
        client = manager.http()
        expected = {}
        for i in range(300):
            body = b"\x00\xffseed %d " % i + bytes(range(256)) * (i % 5)
            iterations = 1 + i * 100
            # As curl -d sends it: with the content type of a form.
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if i % 2 else {}
            expected[self.put(client, body, iterations, headers)] = reference(body, iterations)
        keeper = SeedWorker(manager.address, keeps_connection=True)
        keeper.start()
        wait_until(lambda: keeper.pushed >= 5, "the seed's worker works")
        native = self.lab.worker(manager, ["--slots", "2"])
        items = self.pull_all(client, len(expected))
        keeper.stop()
        self.assertEqual(keeper.surprises, [])
        self.assertEqual(len(items), len(expected))
        self.assertEqual({item["id"]: item["result"] for item in items}, expected)
        completed = {worker["name"]: worker.get("completed", 0) for worker in self.workers(client)}
        print(f"\ncompleted: {completed}")
        self.assertGreater(keeper.pushed, 0)
        self.assertEqual(sum(completed.values()), len(expected))
        self.assertTrue(native.is_running())
        self.assertEqual(client.post("/pullCompleted?top=10").json(), {"results": [], "items": []})

    def test_a_seed_worker_with_a_connection_for_each_call(self):
        manager = self.lab.manager(QUICK)
        client = manager.http()
        expected = {self.put(client, b"plain %d" % i, 1 + i): reference(b"plain %d" % i, 1 + i) for i in range(50)}
        worker = SeedWorker(manager.address, keeps_connection=False)
        worker.start()
        items = self.pull_all(client, len(expected))
        worker.stop()
        self.assertEqual(worker.surprises, [])
        self.assertEqual({item["id"]: item["result"] for item in items}, expected)

    def test_many_seed_workers_of_one_address_without_names_or_kept_connections(self):
        # Long and short tasks in turn: results come in another order than the leases were given.
        manager = self.lab.manager(QUICK)
        client = manager.http()
        expected = {}
        for i in range(80):
            body, iterations = b"one of many %d" % i, 20_000 if i % 4 == 0 else 1 + i
            expected[self.put(client, body, iterations)] = reference(body, iterations)
        workers = [SeedWorker(manager.address, keeps_connection=False) for _ in range(4)]
        for worker in workers:
            worker.start()
        items = self.pull_all(client, len(expected))
        for worker in workers:
            worker.stop()
        self.assertEqual({item["id"]: item["result"] for item in items}, expected)
        self.assertEqual([worker.surprises for worker in workers], [[]] * 4)

    def test_the_oldest_completed_comes_first(self):
        manager = self.lab.manager()
        client = manager.http()
        ids = [self.put(client, b"in order %d" % i, 1) for i in range(20)]
        worker = SeedWorker(manager.address, keeps_connection=True)
        worker.start()
        wait_until(lambda: worker.pushed == 20, "all are done")
        worker.stop()
        items = [item for _ in range(3) for item in client.post("/pullCompleted?top=8").json()["items"]]
        self.assertEqual([item["id"] for item in items], ids)

    def test_a_form_content_type_takes_the_body_as_it_is(self):
        manager = self.lab.manager()
        client = manager.http()
        body = b"a=1&b=%20+x"
        task = self.put(client, body, 2, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = client.get("/getwork")
        self.assertEqual((answer.status, answer.body, answer.headers["X-Iterations"]), (200, body, "2"))
        pushed = client.post("/pushResult", {"result": reference(body, 2).upper()})
        self.assertEqual((pushed.status, pushed.json()), (200, {"status": "success"}))
        self.assertEqual(self.task(client, task)["result"], reference(body, 2))

    def test_curl_itself(self):
        manager = self.lab.manager()

        def curl(*arguments):
            ended = subprocess.run(["curl", "-sS", *arguments], capture_output=True, timeout=PATIENCE)
            self.assertEqual(ended.returncode, 0, ended)
            return ended.stdout
        try:
            curl("--version")
        except FileNotFoundError:
            self.skipTest("curl is not installed")
        message = json.loads(curl("-X", "PUT", "-d", "bees & honey", f"{manager.url}/enqueue?iterations=3"))
        self.lab.worker(manager)
        self.finished(manager.http(), message["id"])
        pulled = json.loads(curl("-X", "POST", f"{manager.url}/pullCompleted?top=5"))
        self.assertEqual(pulled["results"], [reference(b"bees & honey", 3)])

    def test_a_seed_lease_that_is_not_answered_ends(self):
        manager = self.lab.manager(["--seed-lease", "1s"])
        client = manager.http()
        task = self.put(client, b"taken and forgotten", 1)
        self.assertEqual(client.get("/getwork").status, 200)
        self.assertEqual(client.get("/getwork").status, 204)
        wait_until(lambda: self.task(client, task)["state"] == "queued", "the lease is over")
        self.assertEqual(client.get("/getwork").body, b"taken and forgotten")

    def test_a_drained_seed_worker_is_asked_to_exit(self):
        manager = self.lab.manager(QUICK)
        client = manager.http()
        worker = SeedWorker(manager.address, keeps_connection=True)
        worker.start()
        (seen,) = wait_until(lambda: self.workers(client), "it is seen")
        self.assertEqual(client.post(f"/v1/workers/{seen['id']}:drain").status, 200)
        wait_until(lambda: worker.exit_asked, "it is asked to exit")
        worker.stop()

    def test_siblings(self):
        manager = self.lab.manager()
        client = manager.http()
        for sibling in ("10.0.0.2:9000", "10.0.0.3", "10.0.0.2:9000", manager.address):
            answer = client.post(f"/register_sibling?sibling={sibling}")
            self.assertEqual((answer.status, answer.body), (200, b"ok"))
        managers = client.get("/get_managers").json()["managers"]
        self.assertEqual(managers[:2], [manager.address, "10.0.0.2:9000"])
        self.assertEqual(len(managers), 3, managers)
        self.assertTrue(managers[2].startswith("10.0.0.3"))


class Addresses(ProcessTest):
    def test_an_address_that_is_not_loopback_wants_insecure(self):
        for command in ("up", "manager"):
            store = f"rocksdb:{self.lab.path('refused')}"
            for listen in ("0.0.0.0:0", "[::]:0"):
                ended = self.lab.run(command, "--listen", listen, "--store", store)
                self.assertEqual(ended.returncode, 2, ended)
                self.assertEqual(ended.stdout, b"")
                self.assertIn("--insecure", ended.stderr.decode())
        up = Process(self.lab, "up", [BIN, "up", "--listen", "0.0.0.0:0", "--insecure", "--min-workers", "1",
                                      "--max-workers", "1", "--store", f"rocksdb:{self.lab.path('store')}"])
        line = up.wait_for_first_line()
        self.assertTrue(line.startswith("listening on 0.0.0.0:"), line + up.log())
        client = self.lab.keep(Http("127.0.0.1:" + line.rpartition(":")[2]))
        answer = client.put("/enqueue?iterations=2", b"from anywhere")
        self.assertEqual(answer.status, 200, answer)
        # Its own workers reach it, though nobody can connect to 0.0.0.0 by name.
        self.assertEqual(self.finished(client, answer.json()["id"])["result"], reference(b"from anywhere", 2))
        self.assertNotIn("0.0.0.0", client.get("/get_managers").json()["managers"][0])
        self.assertEqual(up.terminate()[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
