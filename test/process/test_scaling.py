# SPDX-License-Identifier: Apache-2.0
"""The fleet of skep up: none while there is nothing to do, the maximum under load, none again, and never more."""
import os
import signal
import threading
import unittest

from harness import PATIENCE, QUICK, ProcessTest, wait_until

WORKERS_MAX = 3
PIECES = 24


class Scaling(ProcessTest):
    def watch(self, manager, stop, seen):
        """Counts the children as often as it can: the maximum holds at every moment."""
        while not stop.wait(0.01):
            try:
                seen.append(len(manager.children()))
            except (FileNotFoundError, ProcessLookupError):
                return

    def test_up_under_load_to_the_maximum_and_down_to_zero(self):
        piece = self.lab.script("piece", "#!/bin/sh\nexec sleep 0.5\n")  # work that costs time and no processor
        manager = self.lab.manager(["--max-workers", str(WORKERS_MAX), "--target-wait", "1s", "--command",
                                    f"piece={piece}", *QUICK], command="up")
        http = manager.http()
        stop, counts = threading.Event(), []
        watcher = threading.Thread(target=self.watch, args=(manager, stop, counts), daemon=True)
        watcher.start()
        self.addCleanup(watcher.join)
        self.addCleanup(stop.set)
        self.assertEqual(http.get("/v1/scaling").json()["state"].get("running", 0), 0)
        message = {"tasks": [{"options": {"kind": "command", "program": "piece"}, "body": ""}] * PIECES}
        self.assertEqual(http.post("/v1/tasks:batch", message).status, 200)
        wait_until(lambda: len(manager.children()) == WORKERS_MAX, "the fleet is at its maximum")
        # A crash makes room for one, not for two.
        os.kill(manager.children()[0], signal.SIGKILL)
        wait_until(lambda: http.get("/v1/cluster").json()["tasks"].get("done", 0) == PIECES, "all is done",
                   2 * PATIENCE)
        wait_until(lambda: not manager.children(), "the fleet is gone after the idle hold", 3 * PATIENCE)
        self.assertEqual(max(counts), WORKERS_MAX)
        scaling = http.get("/v1/scaling?limit=1000").json()
        state = scaling["state"]
        self.assertEqual((state.get("running", 0), state.get("booting", 0), state.get("wanted", 0)), (0, 0, 0), state)
        self.assertEqual(state["max_workers"], WORKERS_MAX)
        self.assertEqual(state["started"], sum(state[end] for end in ("stopped", "crashed", "boot_failures")), state)
        decisions = scaling["decisions"]
        self.assertTrue(any(one["action"] == "launch" for one in decisions), decisions)
        self.assertTrue(any(one["action"] in ("drain", "terminate") for one in decisions), decisions)
        for one in decisions:
            self.assertGreater(len(one["reason"]), 10, one)
            self.assertLessEqual(one.get("wanted", 0), WORKERS_MAX)
        self.assertEqual([one["at_ms"] for one in decisions], sorted((one["at_ms"] for one in decisions), reverse=True))
        self.assertGreater(len(scaling["explanation"]), 10)
        # And up again from zero.
        task = self.enqueue(http, b"wakes it")
        self.assertEqual(self.finished(http, task)["state"], "done")

    def test_the_minimum_runs_without_work(self):
        manager = self.lab.manager(["--min-workers", "2", "--max-workers", "3", *QUICK], command="up")
        http = manager.http()
        wait_until(lambda: len(self.active_workers(http)) == 2, "the minimum runs")
        for pid in manager.children():
            os.kill(pid, signal.SIGKILL)
        # One that ends before the scaler has looked at it counts as one that did not come up.
        def ends():
            state = http.get("/v1/scaling").json()["state"]
            return state.get("crashed", 0) + state.get("boot_failures", 0)
        wait_until(lambda: ends() == 2, "both ends are seen")
        wait_until(lambda: len(self.active_workers(http)) == 2 and len(manager.children()) == 2, "both are replaced")

    def test_without_a_provisioner_the_wanted_size_is_published(self):
        manager = self.lab.manager(["--provisioner", "none", "--max-workers", "5", *QUICK])
        http = manager.http()
        self.enqueue(http, b"work for somebody else's fleet", 1_000_000_000_000)
        state = wait_until(lambda: (s := http.get("/v1/scaling").json()["state"]).get("wanted", 0) > 0 and s,
                           "workers are wanted")
        self.assertEqual(state["provisioner"], "none")
        self.assertEqual(manager.children(), [])
        metrics = http.get("/metrics").body.decode()
        self.assertRegex(metrics, r"(?m)^skep_workers_wanted [1-5]$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
