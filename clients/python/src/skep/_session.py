# SPDX-License-Identifier: Apache-2.0
"""_session.py - makes calls over keep-alive connections of threads: where, how often, how long.

Threads: a Session may be used from any thread; each call in flight has a connection of its own.
Errors: SkepError. A try that got no answer is 'unavailable' if it was certainly not sent, else 'unknown_outcome'.
Units: seconds.
"""
from __future__ import annotations

import http.client
import random
import select
import socket
import ssl
import threading
import time
from typing import Dict, List, Optional, TypeVar

from ._calls import Call, Response
from ._managers import Address, Credentials, ManagerList
from ._retry import Failure, RetryPolicy
from .errors import ClientClosed, SkepError, Unauthenticated, Unavailable, UnknownOutcome
from .version import __version__

T = TypeVar("T")

TRY_MAX = 60.0  # one try gives up after this, beside the wait that the call asked for
CONNECT_MAX = 5.0
# With several managers: one that takes no connection in this time, or says nothing to a call for so long and then
# nothing to a question after its health either, is passed over.
SILENCE_MAX = 0.4
IDLE_MAX = 16  # connections kept for each manager
_TIMEOUTS = (TimeoutError, socket.timeout)  # the same class from Python 3.10 on
USER_AGENT = f"skep-python/{__version__}"


class _Connection:
    """One connection to a manager."""

    def __init__(self, address: Address, tls: Optional[ssl.SSLContext]) -> None:
        self.address = address
        self.is_used = False
        if address.is_tls:
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(address.host, address.port, context=tls)
        else:
            self._http = http.client.HTTPConnection(address.host, address.port)

    def connect(self, timeout: float) -> None:
        self._http.timeout = timeout
        try:
            self._http.connect()
        except ssl.SSLCertVerificationError as error:
            raise Unauthenticated(f"{self.address} is not trusted ({error.verify_message}): give the authority's file "
                                  "as ca, or by SKEP_CA") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no connection to {self.address}: {error or type(error).__name__}") from error

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._http.sock
        return found

    def is_readable(self, timeout: float) -> bool:
        """Something came, or the other side closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def send(self, call: Call[T], headers: Dict[str, str], deadline: float) -> None:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        has_body = bool(call.body) or call.method in ("POST", "PUT", "PATCH")
        self._http.request(call.method, self.address.base_path + call.target, body=call.body if has_body else None,
                           headers={**call.headers, **headers})

    def receive(self, deadline: float) -> Response:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        answer = self._http.getresponse()
        body = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        self.is_used = True
        return Response(answer.status, headers, body)

    @property
    def is_open(self) -> bool:
        return self._http.sock is not None

    def close(self) -> None:
        self._http.close()

    def abort(self) -> None:
        """Ends what waits on it in another thread."""
        sock = self._http.sock
        if sock is not None:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of ssl would take TLS away under who reads
            except OSError:
                pass


class Session:
    def __init__(self, managers: ManagerList, credentials: Credentials, tls: Optional[ssl.SSLContext],
                 source: Optional[random.Random] = None) -> None:
        self.managers = managers
        self._credentials = credentials
        self._tls = tls
        self._random = source or random.Random()
        self._lock = threading.Lock()
        self._idle: Dict[Address, List[_Connection]] = {}
        self._busy: "set[_Connection]" = set()
        self._closed = threading.Event()

    def run(self, call: Call[T], timeout: Optional[float]) -> T:
        """Makes a call and repeats it until it is answered for good or `timeout` (None: no end) has passed, beside
        the wait that it asked for."""
        began = time.monotonic()
        deadline = float("inf") if timeout is None else began + timeout + call.wait
        policy = RetryPolicy(deadline, self._random)
        while True:
            address = self.managers.choose()
            failure = None
            try:
                answer = self._try(address, call, deadline)
                self.managers.note_answer(address)
                if 200 <= answer.status < 300:
                    return call.read(answer)
                failure = Failure(answer.error(), True, answer.retry_after())
            except (Unavailable, UnknownOutcome) as error:
                failure = Failure(error, False)
            if self._closed.is_set():
                raise ClientClosed("the client was closed")
            step = policy.after(failure, len(self.managers), time.monotonic())
            if step.is_next_manager:
                self.managers.move_on_from(address)
            if step.is_over:
                raise failure.error
            if self._closed.wait(max(0.0, step.at - time.monotonic())):
                raise ClientClosed("the client was closed")

    def _try(self, address: Address, call: Call[T], deadline: float) -> Response:
        if self._closed.is_set():
            raise ClientClosed("the client was closed")
        try_deadline = min(deadline, time.monotonic() + TRY_MAX + call.wait)
        if try_deadline <= time.monotonic():
            raise Unavailable(f"there is no time left to ask {address}")
        headers = {"User-Agent": USER_AGENT}
        token = self._credentials.token()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        while True:
            connection = self._take(address, try_deadline)
            try:
                return self._exchange(connection, call, headers, try_deadline)
            except (OSError, http.client.HTTPException) as error:
                if connection.is_used and not isinstance(error, _TIMEOUTS) and not self._closed.is_set():
                    continue  # it was closed while it was idle; another one, at last a new one, will do
                text = "no answer in time" if isinstance(error, _TIMEOUTS) else str(error) or type(error).__name__
                raise UnknownOutcome(f"{address} did not answer {call.method} {call.target.partition('?')[0]}: {text}"
                                     ) from error
            finally:
                self._give_back(connection)

    def _exchange(self, connection: _Connection, call: Call[T], headers: Dict[str, str], deadline: float) -> Response:
        is_whole = False
        try:
            connection.send(call, headers, deadline)
            if len(self.managers) > 1 and not connection.is_readable(SILENCE_MAX):
                self._wait_watchfully(connection, deadline)
            answer = connection.receive(deadline)
            is_whole = True
            return answer
        finally:
            if not is_whole:
                connection.close()

    def _wait_watchfully(self, connection: _Connection, deadline: float) -> None:
        """Waits for an answer as long as its manager is healthy, or no other is."""
        while not self._closed.is_set() and time.monotonic() < deadline:
            if not self._is_healthy(connection.address):
                raise UnknownOutcome(f"{connection.address} does not answer, nor does it say that it is well")
            if connection.is_readable(min(2.0, max(0.0, deadline - time.monotonic()))):
                return

    def _is_healthy(self, address: Address) -> bool:
        probe = _Connection(address, self._tls)
        end = time.monotonic() + SILENCE_MAX
        try:
            probe.connect(SILENCE_MAX)
            probe.send(Call("GET", "/healthz", lambda answer: None), {}, end)
            probe.receive(end)
            return True
        except (SkepError, OSError, http.client.HTTPException):
            return False
        finally:
            probe.close()

    def _take(self, address: Address, deadline: float) -> _Connection:
        """An idle connection, or a new one. Unavailable: there is none to be had."""
        while True:
            with self._lock:
                idle = self._idle.get(address)
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if connection.is_open and not connection.is_readable(0):
                self._note(connection)
                return connection
            connection.close()  # the manager closed it
        connection = _Connection(address, self._tls)
        most = SILENCE_MAX if len(self.managers) > 1 else CONNECT_MAX
        self._note(connection)
        try:
            connection.connect(min(most, max(0.001, deadline - time.monotonic())))
        except BaseException:
            connection.close()  # after a handshake that failed there is a socket that is none any more
            self._give_back(connection)
            raise
        return connection

    def _note(self, connection: _Connection) -> None:
        with self._lock:
            self._busy.add(connection)

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            idle = self._idle.setdefault(connection.address, [])
            if connection.is_open and not self._closed.is_set() and len(idle) < IDLE_MAX:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Calls under way end with ClientClosed."""
        with self._lock:
            self._closed.set()
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
            busy = list(self._busy)
        for connection in idle:
            connection.close()
        for connection in busy:
            connection.abort()
