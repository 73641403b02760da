# SPDX-License-Identifier: Apache-2.0
"""A chain that is begun by one worker and ended by another, with a manager that is killed in between.

The workers are written here from docs/protocol.md, so that what a stranger's worker does is what is tested.
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


class Checkpoint(ProcessTest):
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
        self.assertRegex(shown, r"progress +40,000 of 100,000 \(40 %\), .* ago")
        self.assertRegex(shown, r"checkpoint +kept after 40,000 of 100,000 \(40 %\), .* ago")
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


if __name__ == "__main__":
    unittest.main()
