#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: managers with `--provisioner ec2` compute everything and leave nothing behind, whatever EC2 does to them.

Method: one account, a cluster for each kind of fault, all at once, as nearly all of the time is spent waiting: tasks,
workers by EC2, results, idle, no instance left. Then what is said of each fault, counted at the server.
"""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from hive import Hive  # noqa: E402
from fault_server import FaultServer  # noqa: E402
from harness import ProcessTest, wait_until  # noqa: E402

PIECES = 24
# An idle worker stays for as long as a boot takes, and on a busy machine that is long.
SHORT_HOLD = ["--policy", "skep:hold_s=2:hold_growth=1:hold_boots_min=0.1"]


class Faults(ProcessTest):
    def setUp(self):
        super().setUp()
        self.server = FaultServer(self.lab, ["--rate", "20"])

    def hive(self, name, types, pieces=PIECES, more=(), **others):
        hive = Hive(self.lab, self.server, name, types, more=[*SHORT_HOLD, *more], **others)
        hive.start()
        hive.wanted = hive.enqueue(pieces)
        return hive

    def compute(self, hives):
        """All to their ends, watching that no cluster ever has more instances than it may."""
        def all_done():
            for hive in hives:
                self.assertLessEqual(len(hive.instances()), hive.workers_max, hive.name)
            return all(hive.done() >= len(hive.wanted) for hive in hives)

        wait_until(all_done, "all is computed", 90)
        for hive in hives:
            self.assertEqual(hive.wrong(hive.wanted), {}, hive.name)
        wait_until(lambda: not any(hive.instances() for hive in hives), "no instance is left", 60)
        self.assertEqual(self.server.violations(), [])

    def test_every_fault_at_once_each_in_a_cluster_of_its_own(self):
        server = self.server
        server.control("POST", "settings", {"spot_notice_seconds": 400})
        server.control("POST", "faults", [
            {"kind": "capacity", "type": "c5.large"},
            {"kind": "never_boots", "type": "m5.large", "count": 1},
            *[{"kind": "error", "operation": operation, "code": "RequestLimitExceeded", "status": 503, "probability": 0.1}
              for operation in ("DescribeInstances", "TerminateInstances")]])
        # The first to launch is not allowed to use the fleet call.
        server.fault("error", operation="CreateFleet", code="UnauthorizedOperation", status=403, count=1)
        single = self.hive("single", "m7i.large")
        wait_until(lambda: single.requests("RunInstances"), "it launches without the fleet call")
        # Whoever is next hears nothing of what was launched, so often that it has to look it up.
        server.fault("drop", operation="CreateFleet", after=True, count=4)
        lost = self.hive("lost", "c7i.large")
        wait_until(lambda: any("skep:token" in str(one["params"].get("Filters")) for one in lost.requests("DescribeInstances")),
                   "it looks up what came of its launch")
        hives = {hive.name: hive for hive in (
            single, lost, self.hive("capacity", "c5.large,c5.xlarge"), self.hive("boots", "m5.large", boot_timeout="10s"),
            self.hive("vanish", "c6i.large", 3 * PIECES), self.hive("spot", "c6a.large", 6 * PIECES, more=["--ec2-spot"]))}
        # Not before they work: what goes while it boots is a boot that failed.
        for name, action in (("vanish", "vanish"), ("spot", "interrupt")):
            wait_until(hives[name].workers, f"{name}: a worker runs")
            server.control("POST", "instances/" + hives[name].workers()[0]["name"], {"action": action})
        self.compute(hives.values())
        ever = {name: hive.instances(None) for name, hive in hives.items()}
        self.assertEqual({one["type"] for one in ever["capacity"].values()}, {"c5.xlarge"})
        asked = [one for one in hives["capacity"].requests("CreateFleet") if "c5.large" in str(one["params"])]
        self.assertEqual(len(asked), 1, "that there is no capacity is remembered")
        self.assertGreater(hives["boots"].scaling()["boot_failures"], 0)
        self.assertIn("Client.UserInitiatedShutdown", [one["reason"] for one in ever["boots"].values()])
        self.assertGreater(hives["vanish"].scaling()["crashed"], 0)
        self.assertEqual(hives["lost"].scaling()["started"], len(ever["lost"]))
        self.spot_worker_left_in_time(hives["spot"], ever["spot"])
        codes = [one.get("code") for one in server.control("GET", "requests")]
        self.assertIn("RequestLimitExceeded", codes)
        for name, hive in hives.items():
            def is_balanced():
                state = hive.scaling()
                return state["started"] == sum(state.get(end, 0) for end in ("stopped", "crashed", "boot_failures"))
            wait_until(is_balanced, f"{name}: all that was started has ended")

    def spot_worker_left_in_time(self, hive, ever):
        """Interrupted, it handed its task back and shut its machine down itself; no attempt was used up."""
        self.assertEqual({one["market"] for one in ever.values()}, {"spot"})
        notices = [line for line in hive.managers[0].log(100_000).splitlines() if "was told of its end" in line or "worker left" in line]
        self.assertIn("spot interruption: terminate", "".join(notices))
        self.assertNotIn("Server.SpotInstanceTermination", [one["reason"] for one in ever.values()])
        for task in hive.wanted:
            self.assertEqual(hive.ask(f"/v1/tasks/{task}").get("attempts_failed", 0), 0, task)

    def test_a_quota_holds_the_fleet_and_is_named(self):
        self.server.control("POST", "settings", {"vcpus_on_demand": 4})
        hive = self.hive("quota", "c5.large", workers_max=4)
        wait_until(lambda: "quota is reached for c5.large (VcpuLimitExceeded)" in hive.scaling().get("problem", ""),
                   "the quota is named")
        self.compute([hive])
        self.assertEqual(len(hive.instances(None)), 2)

    def test_a_manager_that_is_killed_while_it_launches_never_has_too_many(self):
        # What was launched shows 3 s later.
        self.server.control("POST", "settings", {"describe_seconds": 60})
        hive = Hive(self.lab, self.server, "reborn", "c5.large", list_lag="4s", more=SHORT_HOLD)
        hive.start()
        hive.wanted = hive.enqueue(PIECES)
        wait_until(lambda: hive.requests("CreateFleet"), "it launches")
        hive.managers[0].signal(signal.SIGKILL)
        hive.managers[0].wait()
        hive.start()
        self.compute([hive])
        self.assertEqual(hive.scaling().get("crashed", 0), 0)
        # A stop leaves the instances to the next life, which adopts them.
        hive.wanted = hive.enqueue(PIECES)
        wait_until(lambda: hive.scaling().get("running", 0) > 0, "workers run")
        before = set(hive.instances(("running",)))
        self.assertEqual(hive.managers[-1].terminate()[0], 0)
        hive.start()
        wait_until(lambda: before <= {worker["name"] for worker in hive.workers()}, "they come back")
        self.assertTrue(before <= set(hive.instances()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
