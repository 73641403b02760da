# SPDX-License-Identifier: Apache-2.0
"""queue_picture.py - the full cycle's tasks a second as bars, from the measurements that queues.py wrote.

A panel for each size of bodies and batch, a bar for each peer at the most connections: the median, with a line from the
least to the greatest. Plain SVG, readable on light and dark grounds.
"""
from html import escape

from queue_report import BARE, batch_name, names, phases_of, rate_text, rates, size_name, values
from report import spread

WIDTH, MARGIN = 760, 16
LABEL, VALUE = 96, 84  # columns of a panel, left and right of its bars
BAR, GAP, TITLE = 16, 6, 30
OWN, BOUND, OTHER = "#d97706", "#9ca3af", "#3b82f6"
INK = "#6b7280"


def colour(peer):
    return {"skep": OWN, BARE: BOUND}.get(peer, OTHER)


def text(x, y, content, **attributes):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}"{more}>{escape(content)}</text>'


def bar(x, y, width, found, most, peer):
    """One peer: its name, its bar, its range, its figure."""
    middle, least, greatest = spread(found)
    scale = (width - LABEL - VALUE) / most
    begin, centre = x + LABEL, y + BAR / 2
    return [text(begin - 6, y + BAR - 4, peer, text_anchor="end"),
            f'<rect x="{begin:.1f}" y="{y:.1f}" width="{max(middle * scale, 1):.1f}" height="{BAR}" fill="{colour(peer)}"/>',
            f'<line x1="{begin + least * scale:.1f}" x2="{begin + greatest * scale:.1f}" y1="{centre:.1f}" y2="{centre:.1f}" '
            f'stroke="{INK}" stroke-width="2"/>',
            text(begin + greatest * scale + 6, y + BAR - 4, rate_text(middle))]


def panel(result, x, y, width, plan):
    body, connections, batch = plan
    found = [(peer, rates(phases_of(result, peer, plan, "cycle"))) for peer in names(result)]
    found = [(peer, each) for peer, each in found if each]
    most = max(max(each) for _, each in found)
    lines = [text(x, y + 14, f"{size_name(body)}, {batch_name(batch)}", font_weight="bold")]
    for row, (peer, each) in enumerate(found):
        lines += bar(x, y + TITLE + row * (BAR + GAP), width, each, most, peer)
    return lines


def svg_of(result):
    connections = values(result, "connections")[-1]
    plans = [(body, connections, batch) for body in values(result, "body_bytes") for batch in values(result, "batch")]
    width = (WIDTH - 3 * MARGIN) / 2
    height = TITLE + len(names(result)) * (BAR + GAP) + MARGIN
    rows = (len(plans) + 1) // 2
    total = TITLE + MARGIN + rows * height
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12">',
             text(MARGIN, 22, f"Tasks a second, each enqueued, leased and completed; {connections} connections", font_size=14)]
    for place, plan in enumerate(plans):
        lines += panel(result, MARGIN + place % 2 * (width + MARGIN), TITLE + MARGIN + place // 2 * height, width, plan)
    return "\n".join([*lines, "</svg>", ""])
