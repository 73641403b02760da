#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: each typed call of src/aws is what AWS's own models ask for, and what it returns is what is there.

Method: the program aws_calls makes every call against the fault server, which reads each request by the official model and
checks its signature; what it refused stands in its violations. Each story of it runs with throttling and lost answers
too, and must end in the same way.
"""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../aws"))

from fault_server import FaultServer  # noqa: E402
from harness import Lab  # noqa: E402

CALLS = os.environ["AWS_CALLS"]


class Calls(unittest.TestCase):
    def setUp(self):
        lab = Lab()
        self.addCleanup(lab.close)
        self.server = FaultServer(lab, ["--no-machines", "--rate", "1000"])
        self.server.control("POST", "settings", {"throttle": 0})

    def run_stories(self):
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        done = subprocess.run([CALLS, "--gtest_brief=1"], env={**kept, "HOME": "/nowhere", **self.server.environment()},
                              capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        violations = self.server.violations()
        self.assertEqual(violations, [])

    def test_every_call_is_what_the_models_ask_for(self):
        self.run_stories()
        made = {one["operation"] for one in self.server.control("GET", "requests")}
        self.assertGreaterEqual(len(made), 40, sorted(made))

    def test_throttling_and_illness_are_sat_out(self):
        self.server.fault("error", operation="*", code="RequestLimitExceeded", status=503, message="slow", probability=0.2)
        self.server.fault("error", operation="*", code="InternalError", status=500, message="ill", probability=0.1)
        self.run_stories()

    def test_answers_that_are_lost_are_asked_for_again(self):
        self.server.fault("drop", operation="Describe*", after=True, probability=0.3)
        self.server.fault("drop", operation="RunInstances", after=True, count=1)
        self.run_stories()


if __name__ == "__main__":
    unittest.main()
