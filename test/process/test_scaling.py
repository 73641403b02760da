# SPDX-License-Identifier: Apache-2.0
"""The fleet of skep up: none while there is nothing to do, the maximum under load, none again, and never more."""
import json
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

    def test_a_queue_with_its_own_objective_is_sized_apart(self):
        piece = self.lab.script("piece", "#!/bin/sh\nexec sleep 0.5\n")
        manager = self.lab.manager(["--max-workers", "3", "--target-wait", "60s", "--queue-objective", "urgent=1s:4",
                                    "--command", f"piece={piece}", *QUICK], command="up")
        http = manager.http()
        task = {"options": {"kind": "command", "program": "piece", "queue": "urgent"}, "body": ""}
        self.assertEqual(http.post("/v1/tasks:batch", {"tasks": [task] * 12}).status, 200)
        wait_until(lambda: http.get("/v1/cluster").json()["tasks"].get("done", 0) == 12, "all is done", 2 * PATIENCE)
        scaling = http.get("/v1/scaling?limit=1000").json()
        self.assertTrue(any("queue 'urgent' decides (1s)" in one["reason"] for one in scaling["decisions"]), scaling)
        urgent, rest = scaling["state"]["objectives"]
        self.assertEqual((urgent["queue"], urgent["target_wait_ms"], urgent["weight"]), ("urgent", 1000, 4))
        self.assertEqual((rest.get("queue", ""), rest["target_wait_ms"]), ("", 60_000))
        boots = scaling["state"]["boot_times"][0]
        self.assertEqual(boots["type"], "process")
        self.assertGreaterEqual(boots["p90_ms"], boots["p50_ms"])
        told = self.lab.run("explain", "scaling", "--manager", manager.url).stdout.decode()
        self.assertRegex(told, r"(?m)^  urgent +1s +4 ")
        self.assertRegex(told, r"(?m)^  process +\d+ ")

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

    def test_an_order_outlives_a_kill_and_ends(self):
        arguments = ["--max-workers", "3", *QUICK]
        manager = self.lab.manager(arguments, command="up", directory=self.lab.path("kept"))
        http = manager.http()
        said = self.lab.run("scale", "2", "--for", "1h", "--manager", manager.url)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertRegex(said.stdout.decode(), r"^2 ORDERED until \S+ \(skep scale auto ends it\)$")
        wait_until(lambda: len(self.active_workers(http)) == 2, "the ordered ones run")
        manager.kill()
        manager = self.lab.manager(arguments, command="up", directory=self.lab.path("kept"))
        http = manager.http()
        wait_until(lambda: len(self.active_workers(http)) == 2, "they run again")
        scaling = http.get("/v1/scaling").json()
        self.assertEqual((scaling["state"]["mode"], scaling["state"]["ordered_workers"]), ("ordered", 2))
        self.assertIn("2 workers are ordered until", scaling["explanation"])
        self.assertRegex(http.get("/metrics").body.decode(), r"(?m)^skep_scaler_by_order 1$")
        # Another one takes its place, and ends by itself.
        self.assertEqual(http.request("PUT", "/v1/scaling/order", json.dumps({"workers": 1, "for_ms": 1_500}).encode()).status, 200)
        wait_until(lambda: len(self.active_workers(http)) == 1, "one is drained")
        wait_until(lambda: not manager.children(), "the order has ended", 3 * PATIENCE)
        self.assertEqual(http.get("/v1/scaling").json()["state"]["mode"], "policy")
        self.assertIn("skep scale", self.lab.run("scale", "--help").stdout.decode())

    def test_a_pause_holds_what_there_is_until_it_is_taken_back(self):
        manager = self.lab.manager(["--max-workers", "3", *QUICK], command="up")
        http = manager.http()
        self.assertEqual(self.lab.run("scale", "pause", "--for", "30m", "--manager", manager.url).returncode, 0)
        task = self.enqueue(http, b"waits")
        reason = wait_until(lambda: "by itself it would be 1 because 1 task waits" in (
            text := http.get("/v1/scaling").json()["explanation"]) and text, "what it would do is said")
        self.assertIn("scaling is paused at 0 workers until ", reason)
        self.assertEqual(manager.children(), [])
        self.assertIn("PAUSED until", self.lab.run("status", "--manager", manager.url).stdout.decode())
        answer = http.delete("/v1/scaling/order").json()
        self.assertEqual(answer["mode"], "policy")
        self.assertEqual(self.finished(http, task)["state"], "done")

    def test_orders_that_make_no_sense_are_refused(self):
        http = self.lab.manager(QUICK, command="up").http()
        for order, word in (({"for_ms": 1}, "either"), ({"workers": 1, "pause": True, "for_ms": 1}, "either"),
                            ({"workers": 1}, "for_ms"), ({"pause": True, "for_ms": 31 * 86_400_000}, "30 days"),
                            ({"workers": 100_001, "for_ms": 1}, "100000")):
            answer = http.request("PUT", "/v1/scaling/order", json.dumps(order).encode())
            self.assert_problem(answer, 400, "invalid")
            self.assertIn(word, answer.json()["detail"])

    def test_a_dry_run_decides_and_starts_nothing(self):
        manager = self.lab.manager(["--max-workers", "3", "--scaler", "dry-run", *QUICK], command="up")
        http = manager.http()
        self.enqueue(http, b"waits")
        state = wait_until(lambda: (s := http.get("/v1/scaling").json()["state"]).get("wanted") == 1 and s,
                           "one is wanted")
        self.assertTrue(state["dry_run"])
        wait_until(lambda: "dry run: the fleet would be sized" in manager.log(), "it is in the log")
        self.assertEqual(manager.children(), [])
        self.assertEqual(http.get("/v1/cluster").json()["tasks"]["queued"], 1)

    def test_costs_are_told_by_task_queue_and_tag_and_outlive_a_restart(self):
        arguments = ["--max-workers", "2", "--worker-price", "3600", "--budget-month", "1000000", *QUICK]
        manager = self.lab.manager(arguments, command="up", directory=self.lab.path("kept"))
        http = manager.http()
        tasks = [self.enqueue(http, b"dear", 3_000_000, tag="blue") for _ in range(4)]
        for task in tasks:
            self.finished(http, task)
        cost = http.get("/v1/cost").json()
        self.assertEqual(cost["price_hour"], 3600)
        of_tasks = cost["tasks"]["used"] + cost["tasks"].get("overhead", 0)
        self.assertAlmostEqual(cost["cost"], of_tasks + cost.get("idle", 0), places=6)
        self.assertGreater(cost["tasks"]["used"], 0)
        self.assertEqual([line["name"] for line in cost["queues"]], ["default"])
        self.assertEqual([line["name"] for line in cost["tags"]], ["blue"])
        self.assertEqual(cost["queues"][0]["attempts"], 4)
        shown = [self.task(http, task) for task in tasks]
        self.assertAlmostEqual(sum(task["cost"] for task in shown), of_tasks, places=6)
        self.assertIn("is its share of boot and idle", shown[0]["explanation"])
        self.assertIn("since start (tasks ", self.lab.run("status", "--manager", manager.url).stdout.decode())
        said = self.lab.run("explain", "cost", "--manager", manager.url).stdout.decode()
        self.assertRegex(said, r"(?m)^blue +4 ")
        self.assertRegex(http.get("/metrics").body.decode(), r'(?m)^skep_cost\{line="used"\} ')
        manager.terminate()
        manager = self.lab.manager(arguments, command="up", directory=self.lab.path("kept"))
        again = wait_until(lambda: manager.http().get("/v1/cost").json(), "it answers")
        self.assertGreaterEqual(again["spent_month"], 0.9 * of_tasks)

    def test_a_spent_budget_stops_the_fleet_and_says_so(self):
        # A worker costs 100 a second: the month has no five minutes of it.
        manager = self.lab.manager(["--max-workers", "2", "--worker-price", "360000", "--budget-month", "20",
                                    "--launches-per-minute", "5", *QUICK], command="up")
        http = manager.http()
        self.enqueue(http, b"too dear")
        wait_until(lambda: "the budget of the month, 20.00, has 20.00 left, which pays for 0" in
                   http.get("/v1/scaling").json()["explanation"], "the budget is named")
        state = http.get("/v1/scaling").json()["state"]
        self.assertEqual((state["budget_month"], state["launches_minute"]), (20, 5))
        self.assertEqual(manager.children(), [])
        refused = self.lab.run("up", "--worker-price", "0", "--budget-hour", "3", "--check-config")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("a budget needs worker-price", refused.stderr.decode())

    def test_a_scaler_that_can_not_act_says_so(self):
        # A worker that refuses its command line never registers.
        manager = self.lab.manager(["--max-workers", "2", "--command", "gone=/no/such/program", *QUICK], command="up")
        http = manager.http()
        self.enqueue(http, b"waits")
        state = wait_until(lambda: (s := http.get("/v1/scaling").json()["state"]).get("problem") and s,
                           "the problem is said")
        self.assertIn("failed", state["problem"])
        self.assertRegex(http.get("/metrics").body.decode(), r"(?m)^skep_scaler_able 0$")
        self.assertIn("CAN NOT ACT for", self.lab.run("status", "--manager", manager.url).stdout.decode())
        self.assertIn("the scaler can not do what it wants", manager.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
