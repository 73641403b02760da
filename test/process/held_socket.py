# SPDX-License-Identifier: Apache-2.0
"""held_socket.py - a way to a PostgreSQL that can hold back what goes there, and let it go on later.

It stands before the server's socket with one of its own. What is held back reaches the server afterwards, late and in order, as
from a machine that stood still with its packets on the way. What the server says is never held back.

Threads: a thread accepts, two serve each connection; the rest may be called from any thread.
"""
import os
import socket
import threading

SOCKET = ".s.PGSQL.5432"


class HeldSocket:
    def __init__(self, directory, server_directory):
        os.mkdir(directory)
        self.directory = directory
        self.server = os.path.join(server_directory, SOCKET)
        self.may_pass = threading.Event()
        self.may_pass.set()
        self.waiting = {}  # connection -> what is held back of it
        self.held = set()  # connections of which something was held back and not let go yet
        self.answers = {}  # connection -> what the server said since then
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(directory, SOCKET))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self):
        self.may_pass.clear()

    def let_go(self):
        self.may_pass.set()

    def holds(self, part):
        """The connection of which bytes with that part are held back; None if none."""
        with self.lock:
            return next((number for number, data in self.waiting.items() if part in data), None)

    def answer(self, connection):
        """What the server has said to the connection after its bytes were let go."""
        with self.lock:
            return bytes(self.answers.get(connection, b""))

    def close(self):
        self.listener.close()
        self.may_pass.set()

    def _accept(self):
        number = 0
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            number += 1
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            threading.Thread(target=self._to_server, args=(number, client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(number, client, server), daemon=True).start()

    def _to_server(self, number, client, server):
        client.settimeout(0.05)
        while True:
            try:
                data = client.recv(1 << 20)
            except TimeoutError:
                data = None
            except OSError:
                return
            with self.lock:
                if data:
                    self.waiting[number] = self.waiting.get(number, b"") + data
                ready = self.waiting.pop(number, b"") if self.may_pass.is_set() else b""
                if number in self.waiting:
                    self.held.add(number)
                if ready and number in self.held:
                    self.held.discard(number)
                    self.answers[number] = bytearray()
            try:
                if ready:
                    server.sendall(ready)
                if data == b"" and self.may_pass.is_set():
                    server.shutdown(socket.SHUT_WR)
                    return
            except OSError:
                return

    def _to_client(self, number, client, server):
        with client, server:
            while True:
                try:
                    data = server.recv(1 << 20)
                    if not data:
                        return
                    with self.lock:
                        if number in self.answers:
                            self.answers[number] += data
                    client.sendall(data)
                except OSError:
                    return


def holding_before(lab, server_directory):
    """One before that server, in the lab's directory."""
    return HeldSocket(lab.path("held"), server_directory)
