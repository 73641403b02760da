# SPDX-License-Identifier: Apache-2.0
"""A manager stands still with a commit on its way to PostgreSQL, is taken for dead and wakes 30 s later: it commits nothing.

The same again with the check of epochs taken out of the database: then its commit is written. So the first part can fail.
"""
import signal
import threading
import time
import unittest

import postgres
from held_socket import holding_before
from harness import NoAnswer, PATIENCE, ProcessTest, Http, QUICK, wait_until

SHARDS = 64
STILL_SECONDS = 30.0
NO_FENCE = """
CREATE OR REPLACE FUNCTION skep.fence(wanted_shards bigint[], wanted_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END
$$
"""


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class StaleOwner(ProcessTest):
    def setUp(self):
        super().setUp()
        self.postgres = postgres.Postgres(self.lab)
        self.held = holding_before(self.lab, self.postgres.directory)
        self.addCleanup(self.held.close)

    def start_two(self):
        """The first one, whose way to the database can be held up, and another."""
        self.lab.store = self.postgres.url.replace(self.postgres.directory, self.held.directory)
        first = self.lab.manager(QUICK)
        self.lab.store = self.postgres.url
        second = self.lab.manager(QUICK)
        wait_until(lambda: self.owners() == [SHARDS // 2, SHARDS // 2], "two managers share the shards", 20)
        return first, second

    def owners(self):
        """How many shards each owner has, by the database."""
        rows = self.postgres.ask("SELECT count(*) FROM skep.shards WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1").split()
        return [int(row) for row in rows]

    def enqueue_and_stand_still(self, manager, marker, seconds):
        """Its commit of a task with that body reaches the database after the others have its shards, and `seconds` after it
        stopped. Gives the manager's answer's status, None without one, and what the database said to the commit."""
        answers = []

        def enqueue():
            http = Http(manager.address, timeout=PATIENCE + seconds)
            try:
                answers.append(http.post("/v1/tasks?iterations=1", marker).status)
            except NoAnswer:
                answers.append(None)
            http.close()

        # Its connection for commits is there, and the statements are prepared.
        self.assertEqual(manager.http().post("/v1/tasks?iterations=1", b"before").status, 200)
        self.held.hold()
        asking = threading.Thread(target=enqueue, daemon=True)
        asking.start()
        connection = wait_until(lambda: self.held.holds(marker), "the commit is on its way")
        manager.signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: self.owners() == [SHARDS], "the other one has taken all shards", 20)
        wait_until(lambda: time.monotonic() - began >= seconds, "the time is over")
        manager.signal(signal.SIGCONT)
        self.held.let_go()
        asking.join(PATIENCE)
        return answers[0] if answers else None, self.held.answer(connection)

    def bodies(self, marker):
        return self.postgres.ask(f"SELECT count(*) FROM skep.bodies WHERE bytes = decode('{marker.hex()}', 'hex')")

    def test_one_that_wakes_after_30_s_commits_nothing(self):
        first, second = self.start_two()
        kept = second.http().post("/v1/tasks?iterations=1", b"kept").json()["id"]
        status, said = self.enqueue_and_stand_still(first, b"the stale owner's task", STILL_SECONDS)
        self.assertNotEqual(status, 200)
        self.assertIn(b"may not use it", said)  # the commit did arrive, and the fence refused it
        self.assertEqual(self.bodies(b"the stale owner's task"), "0")
        # It goes on as one of two.
        wait_until(lambda: self.owners() == [SHARDS // 2, SHARDS // 2], "they share the shards again", 20)
        self.assertEqual(first.http().get(f"/v1/tasks/{kept}").status, 200)
        self.assertEqual(first.http().post("/v1/tasks?iterations=1", b"again").status, 200)

    def test_without_the_check_of_epochs_its_commit_is_written(self):
        first, _ = self.start_two()
        self.postgres.ask(NO_FENCE)
        self.enqueue_and_stand_still(first, b"unfenced", 0)
        wait_until(lambda: self.bodies(b"unfenced") == "1", "the stale commit is written", 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
