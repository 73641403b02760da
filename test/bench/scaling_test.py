#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what `./dev bench scaling` says of its figures is what they are: who holds the objective, who is cheaper.

Method: made-up figures; nothing is simulated.
"""
import unittest

import scaling


def row(name, trace, seed, late, cost):
    return {"name": name, "trace": trace, "seed": seed, "late_share": late, "cost_ratio": cost, "scale_events": 10}


def world(*rows, bounds=()):
    found = {(each["trace"], each["seed"]) for each in rows}
    late = dict(bounds)
    return {"name": "w", "what": "a world", "is_tuned": True, "settings": {"skep": "skep"}, "rows": list(rows),
            "bounds": [{"trace": trace, "seed": seed, "late_share": late.get((trace, seed), 0)} for trace, seed in found]}


class Summary(unittest.TestCase):
    def test_the_objective_is_what_the_bound_can_hold(self):
        rows = [row("skep", "a", 1, 0.05, 1), row("skep", "a", 2, 0.06, 4), row("skep", "b", 1, 0.07, 2)]
        held, cases, cost, cells = scaling.summary(world(*rows, bounds=[(("b", 1), 0.08)]), "skep")
        self.assertEqual((held, cases), (2, 3))
        self.assertAlmostEqual(cost, 2)
        self.assertEqual(cells["a"], (2.5, 0.06, 10))

    def test_a_rival_counts_only_where_it_holds_the_objective_as_often(self):
        rows = [row("skep", "a", 1, 0.04, 1.5), row("keda", "a", 1, 0.04, 2), row("cheap", "a", 1, 0.3, 1)]
        text = " ".join(scaling.world_lines(world(*rows)))
        self.assertIn("keda (1 of 1) costs least: skep costs 25 % less", text)
        self.assertNotIn("More often", text)
        self.assertIn("On no trace is another cheaper", text)

    def test_who_is_cheaper_on_a_trace_is_said(self):
        rows = [row("skep", "a", 1, 0.04, 2), row("keda", "a", 1, 0.04, 1), row("skep", "b", 1, 0.04, 2),
                row("keda", "b", 1, 0.04, 8)]
        text = " ".join(scaling.world_lines(world(*rows)))
        self.assertIn("a (keda)", text)
        self.assertNotIn("b (keda)", text)

    def test_who_is_cheaper_or_holds_more_over_all_is_said(self):
        rows = [row("skep", "a", 1, 0.04, 2), row("keda", "a", 1, 0.04, 1), row("skep", "b", 1, 0.2, 2),
                row("keda", "b", 1, 0.04, 1)]
        text = " ".join(scaling.world_lines(world(*rows)))
        self.assertIn("as often as skep (1 of 2), keda (2 of 2) costs least: skep costs 100 % more", text)
        self.assertIn("More often: keda", text)

    def test_nobody_as_often_is_said(self):
        text = " ".join(scaling.world_lines(world(row("skep", "a", 1, 0.04, 2), row("keda", "a", 1, 0.4, 1))))
        self.assertIn("No other policy holds the objective as often as skep (1 of 1).", text)


if __name__ == "__main__":
    unittest.main()
