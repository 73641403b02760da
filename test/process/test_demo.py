# SPDX-License-Identifier: Apache-2.0
"""Goal: the demo does the whole job and says so, and a result that is wrong makes it fail.

Method: the demo as a person runs it, and once with a worker beside its own that lies about every task it gets.
"""
import unittest

from harness import BIN, Http, NoAnswer, Process, ProcessTest


class Demo(ProcessTest):
    def test_does_the_whole_job_and_shows_it(self):
        demo = self.lab.run("demo", "--tasks", "64", "--max-workers", "2")
        text = demo.stdout.decode()
        self.assertEqual(demo.returncode, 0, demo.stderr)
        self.assertIn("64 done, each result equal", text)
        for figure in ("input", "hashes", "time", "rate", "workers", "launch:", "drain:", "curl"):
            self.assertIn(figure, text)

    def test_a_worker_that_lies_makes_it_fail(self):
        demo = Process(self.lab, "demo", [BIN, "demo", "--tasks", "96", "--max-workers", "1"])
        address = demo.wait_for_first_line().split(",")[0].split()[-1]
        http = Http(address)
        worker = http.post("/v1/workers", {"name": "liar", "slots": 8, "kinds": ["sha512"]}).json()["worker"]
        lies = 0
        while demo.is_running():
            try:
                leased = http.post("/v1/leases:acquire", {"worker": worker, "max": 8, "wait_ms": 1000}).json()
                outcomes = [{"lease": lease["lease"], "result": "0" * 128} for lease in leased.get("leases", [])]
                if outcomes:
                    http.post("/v1/leases:complete", {"worker": worker, "outcomes": outcomes})
                lies += len(outcomes)
                # One that has lied enough leaves, so that the demo may come to its end.
                if lies >= 8:
                    http.delete(f"/v1/workers/{worker}")
                    break
            except NoAnswer:
                break
        self.assertGreater(lies, 0)
        self.assertNotEqual(demo.wait(), 0)
        self.assertIn("results differ from the independent computation", demo.log())
        self.assertIn("should be", demo.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
