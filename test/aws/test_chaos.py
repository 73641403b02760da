# SPDX-License-Identifier: Apache-2.0
"""Goal: a cluster lives through everything that AWS does wrong at once, and `aws up` through being cut off anywhere.

Method: the short form of chaos.py, one seed and a sample of the calls; `./dev aws-chaos` has all of them.
"""
import unittest

from chaos import Life, cut_all

SEED = 3
EVERY = 11


class AllAtOnce(Life):
    def test_a_life_with_all_faults(self):
        self.live(SEED, is_watched_to_idle=False)


class CutOff(unittest.TestCase):
    def test_killed_at_any_call_the_next_run_ends_in_the_same_state(self):
        calls, made = cut_all(range(5, 1000, EVERY))
        self.assertGreaterEqual(made, (calls - 5) // EVERY)


if __name__ == "__main__":
    unittest.main()
