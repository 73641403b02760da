# SPDX-License-Identifier: Apache-2.0
"""_aio_session.py - makes calls over keep-alive connections of asyncio: HTTP/1.1, as much of it as a manager speaks.

Threads: one event loop. A call that is cancelled closes its connection.
Errors: as _session.py.
Units: seconds.
"""
from __future__ import annotations

import asyncio
import random
import ssl
import time
from typing import Dict, List, Optional, Tuple, TypeVar

from ._calls import Call, Response
from ._managers import Address, Credentials, ManagerList
from ._retry import Failure, RetryPolicy
from ._session import CONNECT_MAX, IDLE_MAX, SILENCE_MAX, TRY_MAX, USER_AGENT
from .errors import ClientClosed, SkepError, Unauthenticated, Unavailable, UnknownOutcome

T = TypeVar("T")
HEAD_BYTES_MAX = 64 << 10
_BROKEN = (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError)


class _Connection:
    def __init__(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.address = address
        self.is_used = False
        self.is_open = True
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(address: Address, tls: Optional[ssl.SSLContext], timeout: float) -> _Connection:
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(address.host, address.port, ssl=tls if address.is_tls else None,
                                        limit=HEAD_BYTES_MAX), timeout)
        except ssl.SSLCertVerificationError as error:
            raise Unauthenticated(f"{address} is not trusted ({error.verify_message}): give the authority's file as ca, "
                                  "or by SKEP_CA") from error
        except (OSError, asyncio.TimeoutError) as error:
            raise Unavailable(f"no connection to {address}: {error or type(error).__name__}") from error
        return _Connection(address, reader, writer)

    @property
    def is_stale(self) -> bool:
        return not self.is_open or self._reader.at_eof() or self._writer.is_closing()

    async def send(self, call: Call[T], headers: Dict[str, str]) -> None:
        lines = [f"{call.method} {self.address.base_path}{call.target} HTTP/1.1", f"Host: {self.address.host_header}"]
        lines += [f"{name}: {value}" for name, value in {**call.headers, **headers}.items()]
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(call.body)}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + call.body)
        await self._writer.drain()

    async def receive(self) -> Response:
        while True:
            status, headers = self._parse_head(await self._reader.readuntil(b"\r\n\r\n"))
            if status >= 200:
                break  # what comes before is provisional
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks()
        elif status in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = await self._reader.readexactly(int(headers["content-length"]))
        else:
            body = await self._reader.read()  # it goes on to the end of the connection
            self.close()
        self.is_used = True
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    @staticmethod
    def _parse_head(head: bytes) -> Tuple[int, Dict[str, str]]:
        lines = head.decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("this is no HTTP")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.lower()] = value.strip()
        return int(rest[:3]), headers

    async def _chunks(self) -> bytes:
        parts: List[bytes] = []
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
            if size == 0:
                return b"".join(parts)

    def close(self) -> None:
        """Ends it in the loop's next turn. Nothing of it is of use to anybody, so TLS takes no leave."""
        self.is_open = False
        self._writer.transport.abort()


class AsyncSession:
    def __init__(self, managers: ManagerList, credentials: Credentials, tls: Optional[ssl.SSLContext]) -> None:
        self._managers = managers
        self._credentials = credentials
        self._tls = tls
        self._random = random.Random()
        self._idle: Dict[Address, List[_Connection]] = {}
        self._is_closed = False

    async def run(self, call: Call[T], timeout: Optional[float]) -> T:
        """As Session.run."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout + call.wait
        policy = RetryPolicy(deadline, self._random)
        while True:
            address = self._managers.choose()
            try:
                answer = await self._try(address, call, deadline)
                self._managers.note_answer(address)
                if 200 <= answer.status < 300:
                    return call.read(answer)
                failure = Failure(answer.error(), True, answer.retry_after())
            except (Unavailable, UnknownOutcome) as error:
                failure = Failure(error, False)
            step = policy.after(failure, len(self._managers), time.monotonic())
            if step.is_next_manager:
                self._managers.move_on_from(address)
            if step.is_over:
                raise failure.error
            await asyncio.sleep(max(0.0, step.at - time.monotonic()))

    async def _try(self, address: Address, call: Call[T], deadline: float) -> Response:
        headers = {"User-Agent": USER_AGENT}
        token = self._credentials.token()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        end = min(deadline, time.monotonic() + TRY_MAX + call.wait)
        while True:
            connection = await self._take(address, end)
            try:
                return await self._exchange(connection, call, headers, end)
            except _BROKEN as error:
                if connection.is_used and not isinstance(error, asyncio.TimeoutError):
                    continue  # it was closed while it was idle; another one, at last a new one, will do
                text = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)
                raise UnknownOutcome(f"{address} did not answer {call.method} {call.target.partition('?')[0]}: "
                                     f"{text or type(error).__name__}") from error

    async def _exchange(self, connection: _Connection, call: Call[T], headers: Dict[str, str], end: float) -> Response:
        exchange = asyncio.ensure_future(self._send_and_receive(connection, call, headers))
        try:
            if len(self._managers) > 1:
                await asyncio.wait({exchange}, timeout=SILENCE_MAX)
                while not exchange.done() and time.monotonic() < end:
                    if not await self._is_healthy(connection.address):
                        raise UnknownOutcome(f"{connection.address} does not answer, nor does it say that it is well")
                    await asyncio.wait({exchange}, timeout=min(2.0, max(0.0, end - time.monotonic())))
            answer = await asyncio.wait_for(exchange, None if end == float("inf") else max(0.0, end - time.monotonic()))
        except BaseException:
            exchange.cancel()
            connection.close()
            raise
        idle = self._idle.setdefault(connection.address, [])
        if connection.is_open and not self._is_closed and len(idle) < IDLE_MAX:
            idle.append(connection)
        else:
            connection.close()
        return answer

    @staticmethod
    async def _send_and_receive(connection: _Connection, call: Call[T], headers: Dict[str, str]) -> Response:
        await connection.send(call, headers)
        return await connection.receive()

    async def _is_healthy(self, address: Address) -> bool:
        probe = None
        try:
            probe = await _Connection.open(address, self._tls, SILENCE_MAX)
            ask = self._send_and_receive(probe, Call("GET", "/healthz", lambda answer: None), {})
            await asyncio.wait_for(ask, SILENCE_MAX)
            return True
        except (SkepError, *_BROKEN):
            return False
        finally:
            if probe is not None:
                probe.close()

    async def _take(self, address: Address, end: float) -> _Connection:
        if self._is_closed:
            raise ClientClosed("the client was closed")
        idle = self._idle.get(address, [])
        while idle:
            connection = idle.pop()
            if not connection.is_stale:
                return connection
            connection.close()
        most = SILENCE_MAX if len(self._managers) > 1 else CONNECT_MAX
        left = end - time.monotonic()
        if left <= 0:
            raise Unavailable(f"there is no time left to ask {address}")
        return await _Connection.open(address, self._tls, min(most, left))

    async def close(self) -> None:
        self._is_closed = True
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()
        await asyncio.sleep(0)
