# SPDX-License-Identifier: Apache-2.0
"""wire.py - a manager spoken to over a bare socket, in protobuf: what a script can say to it with little of its own time.

Messages are those of src/api/skep.proto, the numbers of their fields written out here. A request that is not answered
with 200 ends the run.

Threads: a Connection belongs to one thread.
"""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from protobuf_wire import content, number, varint  # noqa: E402  (its place is known only now)

PATIENCE = 900.0


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """(field, value) of a message: bytes where there is content, else a number."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 2:
            size, at = read_varint(data, at)
            yield key >> 3, data[at:at + size]
            at += size
        elif kind == 0:
            value, at = read_varint(data, at)
            yield key >> 3, value
        elif kind == 1:
            yield key >> 3, data[at:at + 8]
            at += 8
        else:
            raise ValueError(f"a field of wire type {kind}")


def all_of(data, field):
    return [value for found, value in fields(data) if found == field]


def first_of(data, field, otherwise=b""):
    return next((value for found, value in fields(data) if found == field), otherwise)


class Refused(Exception):
    """An answer that is not 200."""


class Connection:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.host = address
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def post(self, path, body=b""):
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nAccept: application/x-protobuf\r\n"
        if body:
            head += "Content-Type: application/x-protobuf\r\n"
        self.socket.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self._answer(path)

    def _answer(self, path):
        data = self.rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower()
        begin = head.index(b"content-length:") + 15
        size = int(head[begin:].partition(b"\r\n")[0])
        parts, have = [data[end + 4:]], len(data) - end - 4
        while have < size:
            parts.append(self._receive())
            have += len(parts[-1])
        body = b"".join(parts)
        self.rest = body[size:]
        if not head.startswith(b"http/1.1 200"):
            raise Refused(f"{path}: {head[:40]!r} {body[:300]!r}")
        return body[:size]

    def _receive(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Refused("the manager has closed the connection")
        return data

    def close(self):
        self.socket.close()


# ---- what the scripts say ----

def enqueue_request(body, iterations=1):
    """An EnqueueRequest; in a batch it is field 1."""
    return content(1, number(3, iterations)) + content(2, body)


def batch_of(bodies, iterations=1):
    return b"".join(content(1, enqueue_request(body, iterations)) for body in bodies)


def register(connection, name, slots=1000):
    reply = connection.post("/v1/workers", content(1, name) + number(2, slots) + content(3, b"sha512"))
    return first_of(reply, 1)


def acquire(connection, worker, most, wait_ms=0):
    """The tokens of the leases."""
    request = content(1, worker) + number(2, most) + (number(3, wait_ms) if wait_ms else b"") + content(4, b"sha512")
    return [first_of(lease, 1) for lease in all_of(connection.post("/v1/leases:acquire", request), 1)]


def complete(connection, worker, tokens, result):
    """How many were accepted; one that was not ends the run."""
    outcome = content(3, result) + number(7, 1)
    request = content(1, worker) + b"".join(content(2, content(1, token) + outcome) for token in tokens)
    reply = connection.post("/v1/leases:complete", request)
    statuses = [first_of(outcome, 2) for outcome in all_of(reply, 1)]
    if statuses != [b"ok"] * len(tokens):
        raise Refused(f"complete: {[status for status in statuses if status != b'ok'][:3]}")
    return len(tokens)
