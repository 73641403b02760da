# SPDX-License-Identifier: Apache-2.0
"""scaling_picture.py - what was predicted of a fleet and what it did, on one axis of time.

Two panels: workers that run, and the wait of 95 % of the tasks that start in each ten seconds. Plain SVG, readable on light
and dark grounds.
"""
from html import escape

WIDTH, PANEL, MARGIN, LEFT, TITLE = 960, 160, 16, 48, 30
PREDICTED, REAL, INK = "#3b82f6", "#d97706", "#6b7280"
BIN_S = 10


def text(x, y, content, **attributes):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}"{more}>{escape(content)}</text>'


def by_bins(points):
    """(middle of a bin, what 95 % of its values do not pass) of pairs of time and value."""
    bins = {}
    for at, value in points:
        bins.setdefault(int(at // BIN_S), []).append(value)
    return [((number + 0.5) * BIN_S, sorted(values)[int(0.95 * (len(values) - 1))]) for number, values in sorted(bins.items())]


def curve(points, colour, top, most, span_s, is_step):
    if not points:
        return ""
    place = [(LEFT + at / span_s * (WIDTH - LEFT - MARGIN), top + PANEL - min(1, value / most) * PANEL) for at, value in points]
    path = f"M{place[0][0]:.1f},{place[0][1]:.1f}"
    for x, y in place[1:]:
        path += f"H{x:.1f}V{y:.1f}" if is_step else f"L{x:.1f},{y:.1f}"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def panel(title, predicted, real, top, span_s, is_step):
    most = max([value for _, value in predicted + real] + [1])
    lines = [text(LEFT, top - 6, title, font_weight="bold"), text(LEFT - 6, top + 10, f"{most:.0f}", text_anchor="end"),
             text(LEFT - 6, top + PANEL, "0", text_anchor="end"),
             f'<line x1="{LEFT}" x2="{WIDTH - MARGIN}" y1="{top + PANEL}" y2="{top + PANEL}" stroke="{INK}"/>']
    return lines + [curve(predicted, PREDICTED, top, most, span_s, is_step), curve(real, REAL, top, most, span_s, is_step)]


def picture(each, span_s, target_s):
    series, samples = each["predicted"]["series"], each["real"]["samples"]
    end_s = max([span_s] + [sample["at_s"] for sample in series + samples])
    predicted_waits = by_bins([(sample["at_s"], sample["wait_p95_s"]) for sample in series])
    second = TITLE + 24 + PANEL + 40
    height = second + PANEL + 28
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
             text(LEFT, 20, "Predicted by skep simulate", font_size=14),
             f'<rect x="{LEFT - 18}" y="9" width="12" height="12" fill="{PREDICTED}"/>',
             text(LEFT + 240, 20, "and what the fleet did", font_size=14),
             f'<rect x="{LEFT + 222}" y="9" width="12" height="12" fill="{REAL}"/>']
    lines += panel("workers that run", [(sample["at_s"], sample["running"]) for sample in series],
                   [(sample["at_s"], sample["running"]) for sample in samples], TITLE + 24, end_s, True)
    lines += panel(f"wait of 95 % of the tasks in {BIN_S} s, seconds (target {target_s})", predicted_waits,
                   by_bins(each["real"]["starts"]), second, end_s, False)
    lines += [text(LEFT, height - 8, "0 s"), text(WIDTH - MARGIN, height - 8, f"{end_s:.0f} s", text_anchor="end"), "</svg>", ""]
    return "\n".join(lines)
