#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the workers of a manager that is gone for good are the next one's, all of them, within two minutes; where nobody can
have them they end by themselves.

Method: two managers on one PostgreSQL, ten workers by EC2, the leader killed and not started again; two minutes of the
server's clock later the other one knows every instance and no more may exist than before. The same with a store for each
manager.
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
class Shared(ProcessTest):
    def test_no_worker_is_orphaned_when_the_leader_dies_for_good(self):
        self.lab.store = postgres.Postgres(self.lab).url
        server = self.server = FaultServer(self.lab, ["--rate", "20"])
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
        died_at = now(server)
        managers[leader].kill()

        def is_whole():
            alive = set(hive.instances())
            self.assertLessEqual(len(alive), WORKERS)
            active = {worker["name"] for worker in hive.workers(other) if worker["state"] == "active"}
            return hive.leader(other) == other and hive.scaling(other).get("running", 0) == WORKERS and active == alive

        wait_until(is_whole, "the other manager has all ten", 60)
        took = (now(server) - died_at).total_seconds()
        print(f"\nall workers were the next manager's {took:.0f} s after the death, by the server's clock")
        self.assertLess(took, 120)
        self.assertEqual(set(hive.instances()), before, "none was replaced")
        wait_until(lambda: hive.done(other) >= len(wanted), "all is computed")
        self.assertEqual(hive.wrong(wanted, other), {})
        self.assertEqual(self.server.violations(), [])

        # Its quota is right: what ends now is replaced, and never are there more.
        lost = sorted(before)[0]
        server.control("POST", f"instances/{lost}", {"action": "vanish"})
        wait_until(lambda: is_whole() and lost not in hive.instances(), "the one that vanished is replaced")


class OwnStores(ProcessTest):
    def test_workers_whose_manager_is_gone_for_good_help_its_sibling_and_end(self):
        server = FaultServer(self.lab, ["--rate", "20"])
        each = WORKERS // 2
        hive = Hive(self.lab, server, "own", "c5.large", workers_max=each, more=["--min-workers", str(each)], managers=2,
                    orphan_timeout="6s")
        managers = [hive.start(index, self.lab.path(f"store-{index}")) for index in range(2)]
        for manager, other in (managers, reversed(managers)):
            manager.http().post(f"/register_sibling?sibling={other.address}")
        wait_until(lambda: all(hive.scaling(index).get("running", 0) == each for index in range(2)), "ten workers run")
        before = hive.instances()
        of = {index: {ident for ident, one in before.items() if one["tags"]["skep:manager"].endswith(f":{hive.ports[index]}")}
              for index in range(2)}
        self.assertEqual([len(of[0]), len(of[1])], [each, each])
        server.control("POST", "clock", {"rate": 6})
        died_at = now(server)
        managers[0].kill()
        wait_until(lambda: of[0] & {worker["name"] for worker in hive.workers(1)}, "they help its sibling")
        wanted = hive.enqueue(20, index=1)

        def have_ended():
            alive = hive.instances()
            self.assertLessEqual(len(alive), WORKERS)
            return not of[0] & set(alive)

        wait_until(have_ended, "its machines have ended by themselves")
        self.assertLess((now(server) - died_at).total_seconds(), 120)
        reasons = {one["reason"] for ident, one in hive.instances(None).items() if ident in of[0]}
        self.assertEqual(reasons, {"Client.InstanceInitiatedShutdown"})

        def is_whole():
            alive = hive.instances()
            of_sibling = [one for one in alive.values() if one["tags"]["skep:manager"].endswith(f":{hive.ports[1]}")]
            return len(alive) == len(of_sibling) == each and hive.scaling(1).get("running", 0) == each

        wait_until(is_whole, "the sibling has its own, and no more")
        wait_until(lambda: hive.done(1) >= len(wanted), "all is computed")
        self.assertEqual(hive.wrong(wanted, 1), {})
        self.assertEqual(server.violations(), [])


def now(server):
    return datetime.fromisoformat(server.control("GET", "clock")["now"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
