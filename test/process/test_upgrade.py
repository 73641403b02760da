# SPDX-License-Identifier: Apache-2.0
"""Managers and workers are replaced one by one under load, and nothing is lost or given twice.

With one build on both sides, as an older one takes long to make: `./dev upgrade` does it with two."""
import unittest

import postgres
from harness import BIN, ProcessTest
from upgrade import Build, Upgrade


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class RollingUpgrade(ProcessTest):
    def test_each_is_replaced_in_turn_under_load(self):
        upgrade = Upgrade(self.lab, Build("old", BIN), Build("new", BIN), seed=1, clients=3, between=0)
        self.assertEqual(upgrade.run(), {})


if __name__ == "__main__":
    unittest.main(verbosity=2)
