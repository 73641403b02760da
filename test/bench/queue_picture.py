# SPDX-License-Identifier: Apache-2.0
"""queue_picture.py - the full cycle's tasks a second as bars, from the measurements that queues.py wrote.

A panel for each size of bodies and batch, a bar for each peer at the most connections measured: the median, with a line from
the least to the greatest. Not bare HTTP, beside which the others would be hard to see. Plain SVG, readable on light and dark
grounds.
"""
from html import escape

from queue_report import BARE, batch_name, counted, most_connections, names, phases_of, rate_text, rates, size_name
from report import spread

WIDTH, MARGIN = 760, 16
LABEL, VALUE = 96, 84  # columns of a panel, left and right of its bars
BAR, GAP, TITLE = 16, 6, 30
OWN, OTHER = "#d97706", "#3b82f6"
PALE = "0.4"  # of those that acknowledge before they sync
INK = "#6b7280"


def text(x, y, content, **attributes):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}"{more}>{escape(content)}</text>'


def bar(x, y, width, found, most, peer, is_synced):
    """One peer: its name, its bar, its range, its figure."""
    middle, least, greatest = spread(found)
    scale = (width - LABEL - VALUE) / most
    shade = f' opacity="{PALE}"'
    begin, centre, colour = x + LABEL, y + BAR / 2, OWN if peer.startswith("skep") else OTHER
    return [text(begin - 6, y + BAR - 4, peer, text_anchor="end"),
            f'<rect x="{begin:.1f}" y="{y:.1f}" width="{max(middle * scale, 1):.1f}" height="{BAR}" fill="{colour}"'
            f'{"" if is_synced else shade}/>',
            f'<line x1="{begin + least * scale:.1f}" x2="{begin + greatest * scale:.1f}" y1="{centre:.1f}" y2="{centre:.1f}" '
            f'stroke="{INK}" stroke-width="2"/>',
            text(begin + greatest * scale + 6, y + BAR - 4, rate_text(middle))]


def panel(result, x, y, width, plan):
    body, connections, batch = plan
    found = [(peer, rates(phases_of(result, peer["name"], plan, "cycle"))) for peer in result["peers"] if peer["name"] != BARE]
    found = [(peer, each) for peer, each in found if each]
    most = max((max(each) for _, each in found), default=1)
    lines = [text(x, y + 14, f"{size_name(body)}, {batch_name(batch)}, {counted(connections, 'connection')}",
                  font_weight="bold")]
    for row, (peer, each) in enumerate(found):
        lines += bar(x, y + TITLE + row * (BAR + GAP), width, each, most, peer["name"], peer["is_synced"])
    return lines


def svg_of(result):
    plans = [(body, most_connections(result, body, batch), batch)
             for body, batch in sorted({(run["body_bytes"], run["batch"]) for run in result["runs"]})]
    width = (WIDTH - 3 * MARGIN) / 2
    height = TITLE + len([peer for peer in names(result) if peer != BARE]) * (BAR + GAP) + MARGIN
    rows = (len(plans) + 1) // 2
    total = TITLE + MARGIN + rows * height
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12">',
             text(MARGIN, 22, "Tasks a second, each enqueued, leased and completed; pale: acknowledged before it is synced",
                  font_size=14)]
    for place, plan in enumerate(plans):
        lines += panel(result, MARGIN + place % 2 * (width + MARGIN), TITLE + MARGIN + place // 2 * height, width, plan)
    return "\n".join([*lines, "</svg>", ""])
