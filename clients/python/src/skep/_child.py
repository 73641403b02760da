# SPDX-License-Identifier: Apache-2.0
"""_child.py - a worker's process that runs functions; _pool.py starts it with main().

It speaks with its parent over a socket in frames: a head of JSON and a body, each after its length. When the parent is
gone it ends at once, whatever it computes.

Threads: the main thread runs functions; one reads frames.
"""
from __future__ import annotations

import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any, Dict, Optional, Tuple

from .codecs import CODECS, PICKLE, Codec, is_pickle
from .errors import describe_exception
from .functions import Function, Retry, load
from .trace import set_running

ERROR_BYTES_MAX = 2000
RESULT_BYTES_MAX = 1 << 20
_LENGTHS = struct.Struct("!II")
Frame = Tuple[Dict[str, Any], bytes]


def send_frame(sock: socket.socket, head: Dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(head).encode()
    sock.sendall(_LENGTHS.pack(len(text), len(body)) + text + body)


def receive_frame(sock: socket.socket) -> Optional[Frame]:
    """The next frame; None when the other side is gone."""
    lengths = _receive(sock, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    head, body = _receive(sock, head_length), _receive(sock, body_length)
    if head is None or body is None:
        return None
    return json.loads(head), body


def _receive(sock: socket.socket, size: int) -> Optional[bytes]:
    parts = []
    while size > 0:
        try:
            part = sock.recv(min(size, 1 << 20))
        except OSError:
            part = b""
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def run_call(function: Function, body: bytes, allows_pickle: bool) -> bytes:
    """Makes the call that the body is, and gives its result's bytes. Whatever is wrong is raised."""
    codec: Codec = function.options.codec
    if codec is CODECS["json"] and is_pickle(body):
        if not allows_pickle:
            raise ValueError("this worker takes no pickles: it was started without --allow-pickle")
        codec = PICKLE
    call = codec.load_call(body)
    if call.each is None:
        value = function.call(*call.args, **call.kwargs)
    else:
        value = [function.call(*args, **call.kwargs) for args in call.each]
    result = codec.dump_result(value)
    if len(result) > RESULT_BYTES_MAX:
        raise ValueError(f"the result has {len(result)} bytes; at most {RESULT_BYTES_MAX} are taken")
    return result


def outcome_of(function: Function, body: bytes, allows_pickle: bool) -> Frame:
    """Runs a call; the frame that tells how it ended."""
    began = time.monotonic()
    try:
        result = run_call(function, body, allows_pickle)
        return {"ok": True, "run": time.monotonic() - began}, result
    except (Exception, SystemExit) as error:
        is_retryable = isinstance(error, (Retry, *function.options.retry_on))
        text = describe_exception(error, traceback.format_exc(), ERROR_BYTES_MAX)
        return {"ok": False, "error": text, "permanent": not is_retryable, "run": time.monotonic() - began}, b""


def _read(sock: socket.socket, frames: "queue.Queue[Frame]") -> None:
    while True:
        frame = receive_frame(sock)
        if frame is None:
            os.killpg(os.getpgrp(), signal.SIGKILL)  # what the function started goes along
            return
        frames.put(frame)


def main(descriptor: int) -> None:
    # A terminal's Ctrl-C and a service manager's SIGTERM are for the parent, which drains. Handlers, for SIG_IGN would be
    # inherited by what functions start.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sock = socket.socket(fileno=descriptor)
    frame = receive_frame(sock)
    if frame is None:
        return
    setup = frame[0]
    sys.path[:] = setup["path"]
    set_running(None)  # the worker's own trace is no task's
    functions = load(setup["targets"])
    frames: "queue.Queue[Frame]" = queue.Queue()
    threading.Thread(target=_read, args=(sock, frames), daemon=True).start()
    send_frame(sock, {"ready": True})
    while True:
        head, body = frames.get()
        set_running(head["trace"])
        answer, result = outcome_of(functions[head["program"]], body, setup["allows_pickle"])
        send_frame(sock, answer, result)
