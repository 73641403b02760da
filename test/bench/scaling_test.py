#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what `./dev bench scaling` says of its figures is what they are: who holds the objective, who is cheaper.

Method: made-up figures; nothing is simulated.
"""
import unittest

import scaling
import scaling_live


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


class Live(unittest.TestCase):
    @staticmethod
    def round(predicted, real):
        both = {"wait_p50_s": 1.0, "late_share": 0.0}
        return {"load": 0.5, "boot_s": 0.2, "task_s": 1.0,
                "predicted": {**both, "wait_p95_s": predicted[0], "worker_seconds": predicted[1],
                              "series": [{"at_s": 1, "running": 2, "wait_p95_s": 0.5}]},
                "real": {**both, "wait_p95_s": real[0], "worker_seconds": real[1], "launches": 3,
                         "samples": [{"at_s": 1, "running": 2, "queued": 0}], "starts": [[1, 0.5]]}}

    def test_arrivals_are_pressed_into_the_span_and_thinned_to_the_load(self):
        times = scaling_live.arrivals(300, 1.0, 4)
        self.assertEqual(times, sorted(times))
        self.assertLessEqual(times[-1], 300)
        in_parts = [sum(5 * part <= at < 5 * part + 5 for at in times) / 5 for part in range(60)]
        self.assertLess(sorted(in_parts)[56], 4.6)
        self.assertGreater(max(in_parts), 3.5)

    def test_what_is_off_is_said(self):
        rounds = [self.round((2, 100), (2.2, 99)), self.round((2, 100), (2.5, 101))]
        text = " ".join(scaling_live.lines_of({"commit": "c", "tasks": 9, "span_s": 60, "rounds": rounds}))
        self.assertIn("3 are within 15 % of what was predicted; the farthest is 25 % off", text)
        self.assertIn("| 2.00 / 2.50 (+25 %) |", text)

    def test_the_picture_has_both(self):
        svg = scaling_live.picture(self.round((2, 100), (2, 100)), 60, 10)
        self.assertEqual(svg.count("<path"), 4)
        self.assertIn("Predicted by skep simulate", svg)


if __name__ == "__main__":
    unittest.main()
