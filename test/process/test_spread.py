# SPDX-License-Identifier: Apache-2.0
"""Workers and clients of several managers: they move on at once when one is gone, and are spread again when it is back."""
import signal
import time
import unittest

from harness import NoAnswer, ProcessTest, QUICK, free_port, reference, wait_until

# How long a worker that was spread takes to be spread again: a manager is trusted once it answers for 4 s, then moves one
# worker in eight each second.
SPREAD = 30.0


class Spread(ProcessTest):
    def start(self):
        self.managers = [self.lab.manager(QUICK, self.lab.path(f"store{at}"), free_port()) for at in range(2)]
        for manager in self.managers:
            for other in self.managers:
                self.assertEqual(manager.http().post(f"/register_sibling?sibling={other.address}").status, 200)
        self.urls = ",".join(manager.url for manager in self.managers)

    def start_again(self, at):
        before = self.managers[at]
        self.managers[at] = self.lab.manager(QUICK, before.directory, before.address.rpartition(":")[2])

    def counts(self):
        """Active workers at each manager that lives."""
        found = []
        for manager in self.managers:
            try:
                found.append(len(self.active_workers(manager.http())) if manager.is_running() else None)
            except NoAnswer:
                found.append(None)
        return found

    def test_workers_spread_move_on_and_spread_again_with_what_they_compute(self):
        self.start()
        workers = [self.lab.worker(self.urls, ["--slots", "1"]) for _ in range(6)]
        wait_until(lambda: self.counts() == [3, 3], "six workers are three and three", SPREAD)
        http = self.managers[0].http()
        bodies = {self.enqueue(http, b"long %d" % at, 4_000_000): b"long %d" % at for at in range(2)}
        wait_until(lambda: all(self.task(http, task)["state"] == "leased" for task in bodies), "the long ones run")
        self.managers[1].kill()
        began = time.monotonic()
        wait_until(lambda: self.counts()[0] == 6, "all are at the one that is left", 10)
        print(f"\nall workers at the manager that is left after {time.monotonic() - began:.1f} s")
        self.start_again(1)
        began = time.monotonic()
        wait_until(lambda: self.counts() == [3, 3], "they are spread again", SPREAD)
        print(f"spread again after {time.monotonic() - began:.1f} s")
        for task, body in bodies.items():
            done = self.finished(http, task)
            self.assertEqual((done["result"], done.get("attempts", 1)), (reference(body, 4_000_000), 1), done)
        short = [self.enqueue(manager.http(), b"short", 10) for manager in self.managers]
        for task in short:
            self.assertEqual(self.finished(http, task)["result"], reference(b"short", 10))
        # Who has moved is known in one place alone, and nobody moves for nothing.
        moved = [worker.log(1 << 20).count("moves to another manager") for worker in workers]
        self.assertEqual(self.counts(), [3, 3])
        self.assertEqual([len(self.workers(manager.http())) for manager in self.managers], [3, 3], moved)
        self.assertLessEqual(sum(moved), 10)
        for worker in workers:
            self.assertEqual(worker.terminate()[0], 0)

    def test_a_worker_of_one_manager_comes_back_to_it(self):
        self.start()
        worker = self.lab.worker(self.managers[0])
        wait_until(lambda: self.counts() == [1, 0], "it is where it was sent")
        self.managers[0].kill()
        wait_until(lambda: self.counts() == [None, 1], "it goes to the one that it heard of", 10)
        self.start_again(0)
        wait_until(lambda: self.counts() == [1, 0], "it is back", SPREAD)
        self.assertEqual(worker.terminate()[0], 0)

    def test_a_command_is_not_held_up_by_a_manager_that_is_gone_or_stands_still(self):
        self.start()
        self.managers[1].signal(signal.SIGSTOP)
        stopped = []
        for _ in range(4):
            began = time.monotonic()
            ended = self.lab.run("status", "--json", "--manager", self.urls)
            self.assertEqual(ended.returncode, 0, ended)
            self.assertIn(self.managers[0].address, ended.stdout.decode())
            stopped.append(time.monotonic() - began)
        self.managers[1].kill()
        gone = []
        for _ in range(4):
            began = time.monotonic()
            self.assertEqual(self.lab.run("status", "--manager", self.urls).returncode, 0)
            gone.append(time.monotonic() - began)
        print(f"\nstands still: {max(stopped):.2f} s, gone: {max(gone):.2f} s")
        self.assertLess(min(stopped), 1.5)
        self.assertLess(max(stopped), 4.0)
        self.assertLess(min(gone), 1.0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
