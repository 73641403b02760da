# SPDX-License-Identifier: Apache-2.0
"""A short run of chaos.py: kill -9 of the manager at random moments loses nothing and repeats nothing."""
import random
import unittest

import chaos
from harness import ProcessTest


class ManagerKill(ProcessTest):
    def test_kill_9_under_load_loses_nothing_and_repeats_nothing(self):
        seed = random.SystemRandom().randrange(1 << 32)
        figures = chaos.Chaos(self.lab, kills=12, clients=50, seed=seed).run()
        chaos.show({"seed": seed, **figures})
        self.assertEqual(figures["findings"], {}, f"chaos.py --kills 12 --seed {seed}")
        # A run in which nothing happened would prove nothing.
        self.assertGreater(figures["enqueues acknowledged"], 100)
        self.assertGreater(figures["results pulled"], 100)


class ManagerKillOnLog(ManagerKill):
    store = "log"


if __name__ == "__main__":
    unittest.main(verbosity=2)
