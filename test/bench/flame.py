# SPDX-License-Identifier: Apache-2.0
"""flame.py - a flame graph from the stacks of `perf script`: where a process spends its processor time.

A frame's width is its share of all samples; below it stand its callers, down to the thread. Plain SVG with titles, which
browsers show as hints. Frames under half a percent are left out.
"""
import collections
import re
from html import escape

WIDTH, ROW, TITLE, MARGIN = 1000, 16, 30, 6
LEAST = 0.005  # of all samples
CHARACTER = 6.2  # its width at the size of the text


class Frame:
    def __init__(self, name):
        self.name = name
        self.samples = 0
        self.children = {}

    def child(self, name):
        if name not in self.children:
            self.children[name] = Frame(name)
        return self.children[name]


def short(symbol):
    """A symbol without its arguments, template arguments, offsets."""
    symbol = re.sub(r"\+0x[0-9a-f]+$", "", symbol)
    for opening, closing in ("<>", "()"):
        depth, kept = 0, []
        for i, character in enumerate(symbol):
            is_arrow = character == ">" and i > 0 and symbol[i - 1] == "-"
            if character == opening:
                depth += 1
            elif character == closing and depth > 0 and not is_arrow:
                depth -= 1
            elif depth == 0:
                kept.append(character)
        symbol = "".join(kept)
    symbol = symbol.replace("{lambda#1}", "").replace("::operator", "::operator()").strip(": ")
    return symbol.split(" ")[-1] if "::" in symbol else symbol


def stacks_of(lines):
    """(thread, frames from the outermost on) for each sample in `perf script -F comm,ip,sym`."""
    thread, frames = None, []
    for line in [*lines, ""]:
        if not line.strip():
            if thread is not None:
                yield thread, frames[::-1]
            thread, frames = None, []
        elif thread is None:
            thread = line.strip()
        else:
            found = re.match(r"\s*[0-9a-f]+\s+(.*)", line)
            name = short(found.group(1)) if found else ""
            frames.append(name if name and name != "[unknown]" else "?")


def tree_of(stacks):
    root = Frame("all")
    for thread, frames in stacks:
        at = root
        at.samples += 1
        for name in [thread, *frames]:
            if name == "?" or name == at.name:
                continue
            at = at.child(name)
            at.samples += 1
    return root


def inclusive(stacks, names):
    """The share of samples with a frame whose name begins so, for each name."""
    counts, total = collections.Counter(), 0
    for _, frames in stacks:
        total += 1
        for name in names:
            counts[name] += any(frame.startswith(name) for frame in frames)
    return {name: counts[name] / max(total, 1) for name in names}


def colour(name):
    if name.startswith("skep"):
        return "#f0a94a"
    if name.startswith("rocksdb"):
        return "#8ab4f8"
    if "::" in name:
        return "#c8b6e2"
    return "#d9d9d9"


def boxes(frame, depth, x, total, out):
    for child in sorted(frame.children.values(), key=lambda each: each.name):
        share = child.samples / total
        if share < LEAST:
            continue
        out.append((depth, x, share, child.name))
        boxes(child, depth + 1, x, total, out)
        x += share


def svg_of(root, title):
    found = []
    boxes(root, 0, 0.0, root.samples, found)
    rows = 1 + max((depth for depth, *_ in found), default=0)
    height = TITLE + rows * ROW + MARGIN
    scale = WIDTH - 2 * MARGIN
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="10">',
             f'<text x="{MARGIN}" y="20" font-size="13" fill="#6b7280">{escape(title)}</text>']
    for depth, x, share, name in found:
        left, width = MARGIN + x * scale, share * scale
        top = height - MARGIN - (depth + 1) * ROW
        room = int((width - 4) / CHARACTER)
        shown = name if len(name) <= room else (name[: room - 1] + "…" if room > 3 else "")
        lines.append(f'<g><title>{escape(name)}: {100 * share:.1f} %</title>'
                     f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>'
                     f'<text x="{left + 2:.1f}" y="{top + 11}" fill="#1f2937">{escape(shown)}</text></g>')
    return "\n".join([*lines, "</svg>", ""])
