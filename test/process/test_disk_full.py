# SPDX-License-Identifier: Apache-2.0
"""The disk fills up and has space again: nothing acknowledged is lost, and service resumes without a restart.

The disk is a small tmpfs, which only root may mount.
"""
import os
import subprocess
import unittest

from harness import PATIENCE, QUICK, ProcessTest, reference, wait_until

# Space for the logs of a store, which it reserves, and as much again, which it needs to write them out.
DISK_BYTES = 256 << 20
ROOM_BYTES = 8 << 20
STEP = b"x" * (256 << 10)
BODY_BYTES = 200_000
# What is wrong with a store that met the end of its disk: tasks are let in until it has.
TO_THE_END = ["--disk-reserve", "0"]
# Of which a quarter is more than any store asks for, and most is taken by others.
LARGE_DISK_BYTES = 1600 << 20
TAKEN_BYTES = 800 << 20


class SmallDisk(ProcessTest):
    disk_bytes = DISK_BYTES

    def setUp(self):
        super().setUp()
        self.disk = self.lab.path("disk")
        os.mkdir(self.disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.disk_bytes}", "skep-test", self.disk],
                                 capture_output=True, timeout=PATIENCE)
        if mounted.returncode != 0:
            self.skipTest(f"a tmpfs can not be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(self.unmount)
        self.filler = os.path.join(self.disk, "filler")

    def unmount(self):
        self.lab.stop_processes()  # it is busy before
        subprocess.run(["umount", self.disk], check=True, timeout=PATIENCE)

    def make_space(self):
        os.unlink(self.filler)

    def enqueue_some(self, http, acknowledged, count, size=BODY_BYTES):
        """Enqueues; returns the answers that were refusals."""
        refused = []
        for _ in range(count):
            body = f"body {len(acknowledged)} {len(refused)} ".encode() + os.urandom(size)
            answer = http.post("/v1/tasks?iterations=2", body)
            if answer.status == 200:
                acknowledged[answer.json()["id"]] = reference(body, 2)
            else:
                refused.append(answer)
        return refused

    def pull_all(self, http):
        pulled = {}
        while items := http.post("/pullCompleted?top=100").json()["items"]:
            for item in items:
                self.assertNotIn(item["id"], pulled)
                pulled[item["id"]] = item["result"]
        return pulled


class DiskFull(SmallDisk):
    works_while_it_fills = True

    def fill(self):
        """Leaves no byte free."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 512, 1):
                block = b"x" * size
                try:
                    while True:
                        file.write(block)
                except OSError:
                    pass

    def fill_and_notice(self, http, acknowledged, count=5):
        """Fills the disk and enqueues until the store has used up what it had reserved. Gives the refusals."""
        self.fill()
        refused = []

        for _ in range(DISK_BYTES // BODY_BYTES):
            self.fill()  # also what the store gives back
            refused += self.enqueue_some(http, acknowledged, 1)
            if len(refused) >= count:
                return refused
        raise AssertionError("a disk without space takes more than it has")

    def assert_all_there(self, http, acknowledged):
        for task, result in acknowledged.items():
            seen = self.finished(http, task)
            self.assertEqual((seen["state"], seen["result"]), ("done", result), seen)

    def assert_serves_again(self, http, acknowledged):
        wait_until(lambda: http.get("/readyz").status == 200, "it is ready again by itself")
        wait_until(lambda: not self.enqueue_some(http, acknowledged, 1, 10), "a task is taken again")

    def test_enqueue_is_refused_while_the_disk_is_full_and_resumes_by_itself(self):
        manager = self.lab.manager(QUICK + TO_THE_END, directory=os.path.join(self.disk, "store"))
        http = manager.http()
        acknowledged = {}
        self.assertEqual(self.enqueue_some(http, acknowledged, 10), [])
        for answer in self.fill_and_notice(http, acknowledged):
            problem = self.assert_problem(answer, 503, "unavailable")
            self.assertNotIn("rocksdb::", problem["detail"])
        detail = self.assert_problem(http.get("/readyz"), 503, "unavailable")["detail"]
        print(f"\nreadyz: {detail}")
        self.assertRegex(detail.lower(), "space|full")
        self.assertEqual(http.get("/healthz").status, 200)
        store = http.get("/v1/cluster").json()["store"]
        self.assertFalse(store.get("available", False), store)
        self.assertIn("store", self.lab.run("status", "--manager", manager.url).stdout.decode())
        self.make_space()
        self.assert_serves_again(http, acknowledged)
        self.lab.worker(manager)
        self.assert_all_there(http, acknowledged)
        # Nothing of what was refused has happened.
        listed = http.get("/v1/tasks?limit=1000").json()["tasks"]
        self.assertEqual({task["id"] for task in listed}, set(acknowledged))
        # What stands on the disk is good.
        manager.kill()
        http = self.lab.manager(QUICK + TO_THE_END, directory=manager.directory).http()
        self.assert_all_there(http, acknowledged)

    def test_workers_keep_their_results_until_there_is_space(self):
        go = self.lab.path("go")
        held = self.lab.script("held", f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\ncat\ntouch {go}.done\n")
        manager = self.lab.manager(["--heartbeat", "200ms", "--worker-timeout", "2s", "--lease", "30s", *TO_THE_END],
                                   directory=os.path.join(self.disk, "store"))
        http = manager.http()
        worker = self.lab.worker(manager, ["--slots", "2", "--command", f"held={held}"])
        tasks = {self.enqueue_command(http, "held", f"kept {i}".encode()): f"kept {i}" for i in range(2)}
        wait_until(lambda: all(self.task(http, task)["state"] == "leased" for task in tasks), "both run")
        self.fill_and_notice(http, {})
        open(go, "w", encoding="ascii").close()
        wait_until(lambda: os.path.exists(go + ".done"), "they end")
        self.assertEqual(http.get("/readyz").status, 503)
        for task in tasks:
            seen = http.get(f"/v1/tasks/{task}")
            self.assertTrue(seen.status == 503 or seen.json()["state"] != "done", seen)
        self.make_space()
        for task, result in tasks.items():
            def is_done():
                answer = http.get(f"/v1/tasks/{task}")
                return answer.status == 200 and answer.json()["state"] == "done" and answer.json()
            seen = wait_until(is_done, "the result is delivered once there is space")
            self.assertEqual(seen["result"], result)
            # The result that was kept is the one that counts: nothing ran a second time.
            self.assertEqual(seen["leases"], 1, seen)
        self.assertTrue(worker.is_running())

    def test_a_disk_that_fills_up_under_load_loses_nothing(self):
        manager = self.lab.manager(QUICK + TO_THE_END, directory=os.path.join(self.disk, "store"))
        http = manager.http()
        if self.works_while_it_fills:
            self.lab.worker(manager, ["--slots", "2"])
        acknowledged = {}
        self.fill_slowly(http, acknowledged)
        for _ in range(2):
            self.make_space()
            self.assert_serves_again(http, acknowledged)
            self.fill_slowly(http, acknowledged)
        self.make_space()
        self.assert_serves_again(http, acknowledged)
        if not self.works_while_it_fills:
            self.lab.worker(manager)
        self.assert_all_there(http, acknowledged)
        self.assertEqual(self.pull_all(http), acknowledged)
        self.assertEqual(manager.terminate()[0], 0)
        # A log that RocksDB writes by itself would end the process: an assertion of its own forbids to go on with a
        # log file that found the disk full.
        self.assertFalse([name for name in os.listdir(manager.directory) if name.startswith("LOG")])

    def fill_slowly(self, http, acknowledged):
        """Load goes on while the rest of the space shrinks to nothing, so that every kind of file meets the end."""
        status = os.statvfs(self.disk)
        refused = []
        with open(self.filler, "ab", buffering=0) as file:
            file.write(b"x" * (status.f_bavail * status.f_frsize - ROOM_BYTES))

            while len(refused) < 6:
                try:
                    file.write(STEP)
                except OSError:
                    pass
                refused += self.enqueue_some(http, acknowledged, 3, 20_000)
                self.assertLess(len(acknowledged) * 20_000, 4 * DISK_BYTES, "the disk takes more than it has")
        for answer in refused:
            self.assert_problem(answer, 503, "unavailable")

    def test_a_manager_that_starts_on_a_full_disk_says_so(self):
        self.fill()
        manager = self.lab.manager_not_ready(QUICK, directory=os.path.join(self.disk, "store"))
        self.assertEqual(manager.wait(), 9, manager.log())
        self.assertRegex(manager.log().lower(), "space|full")
        self.make_space()
        self.lab.manager(QUICK + TO_THE_END, directory=os.path.join(self.disk, "store"))

    def test_a_manager_can_be_stopped_while_the_disk_is_full(self):
        manager = self.lab.manager(QUICK + TO_THE_END, directory=os.path.join(self.disk, "store"))
        http = manager.http()
        acknowledged = {}
        self.enqueue_some(http, acknowledged, 5)
        self.fill_and_notice(http, acknowledged)
        code, seconds = manager.terminate(20)
        print(f"\nSIGTERM on a full disk: exit code {code} after {seconds:.1f} s")
        self.assertIn(code, (0, 9))
        self.make_space()
        manager = self.lab.manager(QUICK + TO_THE_END, directory=manager.directory)
        self.lab.worker(manager)
        self.assert_all_there(manager.http(), acknowledged)


class DiskFullOnLog(DiskFull):
    store = "log"
    works_while_it_fills = False  # what is done makes room at once: it would never be full


class DiskReserve(SmallDisk):
    disk_bytes = LARGE_DISK_BYTES

    def test_a_disk_that_is_nearly_full_takes_no_tasks_until_those_that_are_there_have_left(self):
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, TAKEN_BYTES)
        manager = self.lab.manager(QUICK, directory=os.path.join(self.disk, "store"))
        http = manager.http()
        acknowledged, refused = {}, []
        while not refused:
            refused = self.enqueue_some(http, acknowledged, 1)
            self.assertLess(len(acknowledged) * BODY_BYTES, LARGE_DISK_BYTES, "the disk takes more than it has")
        detail = self.assert_problem(refused[0], 503, "unavailable")["detail"]
        self.assertRegex(detail, "the disk of the store has .* left, of which .* are kept")
        print(f"\n{len(acknowledged)} tasks, then: {detail}")
        # RocksDB may have given room back meanwhile: then more are taken until it is told again.
        def told():
            self.enqueue_some(http, acknowledged, 1)
            refusals = http.get("/v1/cluster").json()["refusals"]
            status = self.lab.run("status", "--manager", manager.url).stdout.decode()
            return (refusals, status) if refusals and "TAKES NO NEW TASKS" in status else None

        (refusal,), status = wait_until(told, "it is told that no tasks are taken")
        self.assertEqual((refusal["reason"], refusal["queue"]), ("disk", ""))
        self.assertRegex(refusal["detail"], "the disk of the store has .* left")
        self.assertRegex(status, r"TAKES NO NEW TASKS: \S+: the disk of the store has .* left")
        # All else goes on, and by it the room comes back: nobody makes any.
        self.assertEqual(http.get("/readyz").status, 200)
        self.lab.worker(manager)
        pulled = {}
        wait_until(lambda: pulled.update(self.pull_all(http)) or len(pulled) >= len(acknowledged), "all are computed", 120)
        self.assertEqual(pulled, acknowledged)
        more = {}
        wait_until(lambda: not self.enqueue_some(http, more, 1), "tasks are taken again", 120)
        self.assertNotIn("does not serve", manager.log())
        self.assertEqual(http.get("/v1/cluster").json()["refusals"], [])


class DiskReserveOfLog(DiskReserve):
    store = "log"


if __name__ == "__main__":
    unittest.main(verbosity=2)
