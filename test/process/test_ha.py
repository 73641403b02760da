# SPDX-License-Identifier: Apache-2.0
"""The short form of `./dev ha`: managers on a real Patroni cluster lose their leader, the primary, and the way to it."""
import os
import subprocess
import sys
import unittest

import patroni

HERE = os.path.dirname(os.path.abspath(__file__))


@unittest.skipIf(patroni.why_not(), patroni.why_not())
class Failover(unittest.TestCase):
    def test_nothing_is_lost_when_the_leader_the_primary_and_the_way_to_it_fail(self):
        ended = subprocess.run([sys.executable, "-B", os.path.join(HERE, "ha.py"), "--short"], timeout=280, check=False)
        self.assertEqual(ended.returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
