# SPDX-License-Identifier: Apache-2.0
"""trace.py - W3C trace context: where a call stands in a distributed trace, as the headers that say it.

A trace is a mapping with 'traceparent' and maybe 'tracestate', such as OpenTelemetry's propagators fill and read; other
members are passed over. What is invalid in it the manager takes as not sent.
"""
from __future__ import annotations

import os
from typing import Callable, Dict, Mapping, Optional

Trace = Mapping[str, str]
TraceSource = Callable[[], Optional[Trace]]

_NAMES = ("traceparent", "tracestate")
_running: Optional[Dict[str, str]] = None  # of the call that this process runs


def current_trace() -> Dict[str, str]:
    """The trace that the running task is part of, in a function that a worker runs, and in a program of kind command
    (TRACEPARENT and TRACESTATE). Empty if there is none."""
    if _running is not None:
        return dict(_running)
    return headers_of({name: os.environ.get(name.upper(), "") for name in _NAMES})


def headers_of(trace: Optional[Trace]) -> Dict[str, str]:
    """What of it can be sent: a tracestate goes with a traceparent, and nothing in it ends a header."""
    found = {name: (trace or {}).get(name) or "" for name in _NAMES}
    if not found["traceparent"]:
        return {}
    return {name: text for name, text in found.items() if text and all(0x20 <= ord(char) < 0x7f for char in text)}


def set_running(trace: Optional[Trace]) -> None:
    """From now on this process runs a task of that trace; None: of none."""
    global _running
    _running = headers_of(trace)
