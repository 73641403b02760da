# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the manager while batches come and go: what a batch was acknowledged for is there, all of it or none.

Clients send batches of tasks, with keys so that they may repeat them; workers lease and complete fifty at a time. The
manager is killed in the middle again and again, and started on the same directory.
"""
import base64
import random
import threading
import unittest

from harness import Http, NoAnswer, ProcessTest, quick, reference, wait_until
from history import History
from native_worker import NativeWorker

CLIENTS = 4
BATCH = 40
KILLS = 6
BATCHES_BETWEEN_KILLS = 12


class Clients:
    """Sends batches until it is stopped; knows what was acknowledged."""

    def __init__(self, address, seed):
        self.address = address
        self.seed = seed
        self.lock = threading.Lock()
        self.acknowledged = {}  # id -> body
        self.batches = 0
        self.is_stopping = threading.Event()
        self.problems = []
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(CLIENTS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_stopping.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number):
        http = Http(self.address, timeout=10)
        chosen = random.Random(f"{self.seed} {number}")
        count = 0
        while not self.is_stopping.is_set():
            count += 1
            bodies = [chosen.randbytes(chosen.choice([10, 1000, 20_000])) for _ in range(BATCH)]
            message = {"tasks": [{"options": {"iterations": 1, "idempotency_key": f"{number} {count} {i}"},
                                  "body_base64": base64.b64encode(body).decode()} for i, body in enumerate(bodies)]}
            answer = self._send(http, message)
            if answer is None:
                break
            tasks = answer.json()["tasks"]
            with self.lock:
                self.batches += 1
                if len(tasks) != BATCH:
                    self.problems.append(f"a batch of {BATCH} was answered with {len(tasks)} ids")
                if len({task.get("existing", False) for task in tasks}) != 1:
                    self.problems.append(f"a part of a batch was there already: {tasks}")
                self.acknowledged.update((task["id"], body) for task, body in zip(tasks, bodies))
        http.close()

    def _send(self, http, message):
        """Again and again until it is acknowledged: the keys make that harmless."""
        while not self.is_stopping.is_set():
            try:
                answer = http.post("/v1/tasks:batch", message)
                if answer.status == 200:
                    return answer
                if answer.status not in (429, 503):
                    self.problems.append(f"a batch got {answer!r}")
                    return None
            except NoAnswer:
                pass
            self.is_stopping.wait(0.05)
        return None


class BatchKill(ProcessTest):
    def test_batches_survive_kill_9_whole(self):
        seed = random.SystemRandom().randrange(1 << 32)
        manager = self.lab.manager(quick())
        port = int(manager.address.rpartition(":")[2])
        history = History()
        clients = Clients(manager.address, seed)
        workers = [NativeWorker(manager.address, history, slots=50).start() for _ in range(3)]
        clients.start()
        for _ in range(KILLS):
            begun = clients.batches
            wait_until(lambda: clients.batches >= begun + BATCHES_BETWEEN_KILLS or clients.problems, "batches to pass")
            manager.kill()
            manager.wait()
            manager = self.lab.manager(quick(), port=port)
        clients.stop()
        self.assertEqual(clients.problems, [], f"seed {seed}")
        self.assertGreaterEqual(len(clients.acknowledged), KILLS * BATCHES_BETWEEN_KILLS * BATCH)
        http = manager.http()
        for task, body in clients.acknowledged.items():
            self.finished(http, task)
            answer = http.get(f"/v1/tasks/{task}/result")
            self.assertEqual(answer.status, 200, f"{task}, seed {seed}: {answer!r}")
            self.assertEqual(answer.body.decode(), reference(body, 1), f"{task}, seed {seed}")
        for worker in workers:
            worker.stop()
        self.assert_each_comes_once(http, set(clients.acknowledged))

    def assert_each_comes_once(self, http, expected):
        pulled = []
        while True:
            reply = http.post("/v1/results:pull?max=1000").json()
            items = [item["id"] for item in reply.get("items", [])]
            if not items:
                break
            pulled += items
            self.assertEqual(http.post("/v1/results:ack", {"receipt": reply["receipt"]}).json()["acknowledged"], len(items))
        self.assertEqual(len(pulled), len(set(pulled)))
        self.assertLessEqual(expected, set(pulled))


class BatchKillOnLog(BatchKill):
    store = "log"


if __name__ == "__main__":
    unittest.main(verbosity=2)
