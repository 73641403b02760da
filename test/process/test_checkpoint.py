# SPDX-License-Identifier: Apache-2.0
"""A chain that is begun by one worker and ended by another, with managers and workers that are killed in between.

Strangers' workers are written here from docs/protocol.md; skep's own are real processes. What one leaves the other must
be able to go on from.
"""
import base64
import hashlib
import unittest

from harness import QUICK, ProcessTest, reference, wait_until

BODY, ITERATIONS, DONE = b"a long chain", 100_000, 40_000


def go_on(digest, iterations):
    for _ in range(iterations):
        digest = hashlib.sha512(digest).digest()
    return digest


class Strangers(ProcessTest):
    """Workers that are not skep's."""

    def register(self, http):
        answer = http.post("/v1/workers", {"name": "stranger", "slots": 1, "kinds": ["sha512"]})
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["worker"]

    def acquire(self, http, worker):
        """A lease, as soon as there is one; asked for so often that the worker does not count as silent."""
        def leases():
            answer = http.post("/v1/leases:acquire", {"worker": worker, "max": 1, "wait_ms": 300})
            self.assertEqual(answer.status, 200, answer)
            return answer.json().get("leases", [])
        return wait_until(leases, "there is a lease")[0]


class Checkpoint(Strangers):
    def test_the_next_worker_goes_on_where_the_killed_manager_knew_the_last_one_to_be(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        task = self.enqueue(http, BODY, ITERATIONS)
        first = self.register(http)
        lease = self.acquire(http, first)
        self.assertTrue(lease["keep_checkpoints"])
        self.assertNotIn("checkpoint_base64", lease)
        digest = go_on(BODY, DONE)
        held = {"lease": lease["lease"], "started": True, "iterations_done": DONE,
                "checkpoint_base64": base64.b64encode(digest).decode()}
        answer = http.post(f"/v1/workers/{first}:heartbeat", {"leases": [held]})
        self.assertEqual((answer.status, answer.json().get("lost", [])), (200, []), answer)
        shown = self.lab.run("get", task, "--manager", manager.url).stdout.decode()
        self.assertRegex(shown, r"progress +40,000 of 100,000 \(40.0 %\), .* ago")
        self.assertRegex(shown, r"checkpoint +kept after 40,000 of 100,000 \(40.0 %\), .* ago")
        manager.kill()
        manager = self.lab.manager(QUICK)
        http = manager.http()
        second = self.register(http)
        lease = self.acquire(http, second)
        self.assertEqual((lease["task"], lease["iterations_done"]), (task, DONE))
        self.assertEqual(base64.b64decode(lease["checkpoint_base64"]), digest)
        result = go_on(base64.b64decode(lease["checkpoint_base64"]), lease["iterations"] - lease["iterations_done"]).hex()
        answer = http.post("/v1/leases:complete",
                           {"worker": second, "outcomes": [{"lease": lease["lease"], "result": result, "run_us": 1}]})
        self.assertEqual(answer.json()["outcomes"][0]["status"], "ok", answer)
        done = self.finished(http, task)
        self.assertEqual(done["result"], reference(BODY, ITERATIONS))
        self.assertEqual(done.get("checkpoint_iterations", 0), 0)

    def test_a_client_may_want_none(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        path = self.lab.path("body")
        with open(path, "wb") as file:
            file.write(BODY)
        ended = self.lab.run("enqueue", path, "-n", str(ITERATIONS), "--no-checkpoint", "--manager", manager.url)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        worker = self.register(http)
        lease = self.acquire(http, worker)
        self.assertFalse(lease.get("keep_checkpoints", False))
        # A worker that leaves one all the same hands its lease back, and nothing else.
        item = {"lease": lease["lease"], "started": True, "iterations_done": DONE,
                "checkpoint_base64": base64.b64encode(go_on(BODY, DONE)).decode()}
        answer = http.post("/v1/leases:release", {"worker": worker, "leases": [item]})
        self.assertEqual(answer.json()["released"], 1, answer)
        self.assertNotIn("checkpoint_base64", self.acquire(http, worker))
        self.assertIn("skep_checkpoints_refused_total 1\n", http.get("/metrics").body.decode())


class SkepsOwnWorker(Strangers):
    HOURS = 10 ** 12

    def lease_of_a_stranger(self, http):
        """The lease that is there, and the worker that has it."""
        worker = self.register(http)
        return self.acquire(http, worker), worker

    def give_back(self, http, lease, worker):
        held = {"lease": lease["lease"], "started": False}
        self.assertEqual(http.post("/v1/leases:release", {"worker": worker, "leases": [held]}).status, 200)
        self.assertEqual(http.delete(f"/v1/workers/{worker}").status, 200)

    def test_a_drain_leaves_all_that_is_done(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        task = self.enqueue(http, BODY, self.HOURS)
        worker = self.lab.worker(manager)
        wait_until(lambda: self.task(http, task).get("started_at_ms"), "it runs")
        code, seconds = worker.terminate()
        print(f"\nworker drained in {seconds:.2f} s in the middle of a chain")
        self.assertEqual(code, 0, worker.log())
        seen = self.task(http, task)
        self.assertEqual((seen["state"], seen.get("workers_lost", 0)), ("queued", 0), seen)
        lease, stranger = self.lease_of_a_stranger(http)
        self.assertGreater(lease["iterations_done"], 0)
        self.assertEqual(base64.b64decode(lease["checkpoint_base64"]), go_on(BODY, lease["iterations_done"]))
        self.give_back(http, lease, stranger)

    def test_a_kill_leaves_the_last_checkpoint_and_the_next_worker_goes_on_from_there(self):
        manager = self.lab.manager(QUICK)
        http = manager.http()
        task = self.enqueue(http, BODY, self.HOURS)
        digest, done = BODY, 0
        for _ in range(2):
            worker = self.lab.worker(manager, ["--checkpoint-interval", "100ms"])
            wait_until(lambda: self.task(http, task).get("checkpoint_iterations", 0) > done, "it leaves a checkpoint")
            worker.kill()
            wait_until(lambda: self.task(http, task)["state"] == "queued", "the manager has noticed")
            lease, stranger = self.lease_of_a_stranger(http)
            digest = go_on(digest, lease["iterations_done"] - done)
            done = lease["iterations_done"]
            self.assertEqual(base64.b64decode(lease["checkpoint_base64"]), digest)
            self.give_back(http, lease, stranger)
        self.assertEqual(self.task(http, task).get("workers_lost", 0), 0)


if __name__ == "__main__":
    unittest.main()
