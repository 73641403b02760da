#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the workers of a manager that is gone for good are the next one's, all of them, within two minutes.

Method: two managers on one PostgreSQL, ten workers by EC2, the leader killed and not started again; two minutes of the
server's clock later the other one knows every instance and no more may exist than before.
"""
import os
import sys
import unittest
from datetime import datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from hive import Hive  # noqa: E402
import postgres  # noqa: E402
from fault_server import FaultServer  # noqa: E402
from harness import ProcessTest, wait_until  # noqa: E402

WORKERS = 10


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class Succession(ProcessTest):
    def test_no_worker_is_orphaned_when_the_leader_dies_for_good(self):
        self.lab.store = postgres.Postgres(self.lab).url
        self.server = FaultServer(self.lab, ["--rate", "20"])
        hive = Hive(self.lab, self.server, "heir", "c5.large,c6i.large", workers_max=WORKERS,
                    more=["--min-workers", str(WORKERS)], managers=2)
        managers = [hive.start(0), hive.start(1)]
        wait_until(lambda: hive.leader() is not None, "one leads")
        leader = hive.leader()
        other = 1 - leader
        wait_until(lambda: hive.scaling(other).get("running", 0) == WORKERS, "ten workers run")
        before = set(hive.instances())
        self.assertEqual(len(before), WORKERS)
        wanted = hive.enqueue(20)
        self.server.control("POST", "clock", {"rate": 6})
        died_at = self.now()
        managers[leader].kill()

        def is_whole():
            alive = set(hive.instances())
            self.assertLessEqual(len(alive), WORKERS)
            active = {worker["name"] for worker in hive.workers(other) if worker["state"] == "active"}
            return hive.leader(other) == other and hive.scaling(other).get("running", 0) == WORKERS and active == alive

        wait_until(is_whole, "the other manager has all ten", 60)
        took = (self.now() - died_at).total_seconds()
        print(f"\nall workers were the next manager's {took:.0f} s after the death, by the server's clock")
        self.assertLess(took, 120)
        self.assertEqual(set(hive.instances()), before, "none was replaced")
        wait_until(lambda: hive.done(other) >= len(wanted), "all is computed")
        self.assertEqual(hive.wrong(wanted, other), {})
        self.assertEqual(self.server.violations(), [])

    def now(self):
        return datetime.fromisoformat(self.server.control("GET", "clock")["now"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
