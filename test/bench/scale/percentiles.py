# SPDX-License-Identifier: Apache-2.0
"""percentiles.py - the nearest-rank percentiles of a list, as every tool here reports them."""
import math


def percentile(ordered, share):
    """The least value that `share` of them do not exceed; `ordered` is sorted and has at least one."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values):
    ordered = sorted(values)
    return {"count": len(ordered), "p50": percentile(ordered, 0.5), "p99": percentile(ordered, 0.99),
            "p999": percentile(ordered, 0.999), "max": ordered[-1]}
