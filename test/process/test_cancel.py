# SPDX-License-Identifier: Apache-2.0
"""A cancel and an order to drain reach a worker in the middle of a chain by the answer to the heartbeat that waits.

The heartbeats are ten minutes apart, so that nothing of what is seen here can have come with the next one.
"""
import unittest

from harness import ProcessTest, reference, wait_until

RARE = ["--heartbeat", "10m", "--worker-timeout", "20m", "--lease", "30m"]
LONG = 1_000_000_000  # iterations: minutes
SOON = 30.0  # seconds; far less than a heartbeat interval, and more than a busy machine needs


class Push(ProcessTest):
    def setUp(self):
        super().setUp()
        self.manager = self.lab.manager(RARE)
        self.http = self.manager.http()
        # One place, which is taken: what comes next waits behind it, and no acquire brings the news.
        self.worker = self.lab.worker(self.manager, ["--slots", "1", "--cores", "1"])

    def run_chain(self, body):
        task = self.enqueue(self.http, body, LONG)
        wait_until(lambda: self.task(self.http, task)["state"] == "leased", "it runs", SOON)
        return task

    def test_a_cancelled_chain_makes_room_at_once(self):
        # Twice, as the second cancel finds the heartbeat that followed the answer to the first.
        for number in range(2):
            task = self.run_chain(b"chain %d" % number)
            answer = self.http.delete(f"/v1/tasks/{task}")
            self.assertEqual((answer.status, answer.json()["state"]), (200, "cancelled"))
        short = self.enqueue(self.http, b"short")
        self.assertEqual(self.finished(self.http, short, SOON)["result"], reference(b"short", 1))

    def test_an_operators_order_ends_a_full_worker_at_once(self):
        running = self.run_chain(b"chain")
        waiting = self.run_chain(b"another, prefetched")
        (one,) = self.active_workers(self.http)
        self.assertEqual(self.http.post(f"/v1/workers/{one['id']}:drain").status, 200)
        self.assertEqual(self.worker.wait(SOON), 0, self.worker.log())
        self.assertNotIn("call fails", self.worker.log())
        for task in (running, waiting):
            seen = self.task(self.http, task)
            self.assertEqual((seen["state"], seen.get("workers_lost", 0)), ("queued", 0), seen)

    def test_a_manager_that_ends_does_not_wait_for_it(self):
        self.run_chain(b"chain")
        code, seconds = self.manager.terminate(SOON)
        self.assertEqual(code, 0, self.manager.log())
        print(f"\nmanager drained in {seconds:.2f} s with a heartbeat that waits")


class LongWait(ProcessTest):
    def test_an_answer_may_take_longer_than_a_call_that_does_not_wait(self):
        manager = self.lab.manager(["--heartbeat", "6s", "--worker-timeout", "60s", "--lease", "60s"])
        http = manager.http()
        worker = self.lab.worker(manager)
        (one,) = wait_until(lambda: self.active_workers(http), "the worker is there")
        task = self.enqueue(http, b"chain", LONG)
        wait_until(lambda: self.task(http, task).get("iterations_done", 0) > 0, "its second heartbeat came")
        self.assertNotIn("call fails", worker.log())
        self.assertEqual([seen["id"] for seen in self.active_workers(http)], [one["id"]])


if __name__ == "__main__":
    unittest.main()
