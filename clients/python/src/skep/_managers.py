# SPDX-License-Identifier: Apache-2.0
"""_managers.py - where the managers are, which one is talked to now, and what is said to be let in.

Threads: ManagerList and Credentials may be used from any thread.
"""
from __future__ import annotations

import os
import random
import ssl
import threading
import time
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

DEFAULT_MANAGER = "http://127.0.0.1:8080"
Managers = Union[str, Sequence[str], None]
# Until the preferred manager is tried again: from half to one and a half of this, doubling up to the second.
RETURN_FIRST, RETURN_MAX = 5.0, 60.0


class Address(NamedTuple):
    """Of one manager."""

    host: str
    port: int
    is_tls: bool
    base_path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{self.base_path}"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(url: str) -> Address:
    """'http://HOST:PORT' as an address. ValueError with a sentence if it is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"'{url}' is no address of a manager: write it as http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None:
        raise ValueError("an address of a manager has no user name: use a token")
    port = parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
    return Address(parts.hostname, port, parts.scheme == "https", parts.path.rstrip("/"))


def parse_managers(managers: Managers) -> List[Address]:
    """From an argument: one address, several with commas, or a sequence; None is SKEP_MANAGER, else the default."""
    if managers is None:
        managers = os.environ.get("SKEP_MANAGER") or DEFAULT_MANAGER
    urls = managers.split(",") if isinstance(managers, str) else list(managers)
    if not urls:
        raise ValueError("a client knows at least one manager")
    return list(dict.fromkeys(parse_address(url) for url in urls))


class ManagerList:
    """The current manager is kept until it fails; of calls that fail at it at once, the first moves on.

    The first of the list is preferred. Where it failed, a call tries it again some seconds later: not all clients at the
    same time, and less often while it goes on failing. With `returns` false nobody does: who uses the list decides.
    """

    def __init__(self, addresses: Sequence[Address], returns: bool = True, source: Optional[random.Random] = None) -> None:
        self._lock = threading.Lock()
        self._addresses: Tuple[Address, ...] = tuple(addresses)
        self._current = 0
        self._returns = returns
        self._random = source or random.Random()
        self._back_off = 0.0  # of the preferred one, until it answers
        self._return_at = 0.0

    def current(self) -> Address:
        with self._lock:
            return self._addresses[self._current]

    def choose(self) -> Address:
        """Where a call goes that begins now."""
        with self._lock:
            if self._returns and self._current != 0 and time.monotonic() >= self._return_at:
                self._current = 0
            return self._addresses[self._current]

    def __len__(self) -> int:
        return len(self._addresses)

    def move_on_from(self, address: Address) -> None:
        with self._lock:
            if self._addresses[self._current] != address:
                return
            if self._current == 0:
                self._back_off = min(2 * self._back_off, RETURN_MAX) or RETURN_FIRST
                self._return_at = time.monotonic() + self._back_off * self._random.uniform(0.5, 1.5)
            self._current = (self._current + 1) % len(self._addresses)

    def note_answer(self, address: Address) -> None:
        with self._lock:
            if self._current == 0 and self._addresses[0] == address:
                self._back_off = 0.0

    def move_to(self, host_port: str) -> bool:
        """To 'HOST:PORT', if it is in the list and not the current one."""
        with self._lock:
            for number, address in enumerate(self._addresses):
                if address.host_header == host_port and number != self._current:
                    self._current = number
                    return True
            return False


class Credentials:
    """The token: given, of a file that is read again when it changes, or of SKEP_TOKEN."""

    def __init__(self, token: Optional[str], token_file: Optional[str]) -> None:
        if token is not None and token_file is not None:
            raise ValueError("give a token or a token_file, not both")
        if token is None and token_file is None:
            token_file = os.environ.get("SKEP_TOKEN_FILE") or None
            if token_file is None:
                token = os.environ.get("SKEP_TOKEN") or None
        self._file = token_file
        self._seen: Optional[Tuple[int, int, int]] = None
        self._token = _checked(token) if token else None

    def token(self) -> Optional[str]:
        """The token as it is now. OSError if its file can not be read and none was read before."""
        if self._file is None:
            return self._token
        try:
            stat = os.stat(self._file)
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                with open(self._file, encoding="ascii") as file:
                    self._token = _checked(file.read().strip())
                self._seen = seen
        except (OSError, ValueError):
            if self._token is None:
                raise
        return self._token


def _checked(token: str) -> str:
    if not token or not all(0x20 < ord(char) < 0x7f for char in token):
        raise ValueError("a token is printable ASCII without blanks, as skep token create gives it")
    return token


def tls_context(addresses: Sequence[Address], ca: Union[str, ssl.SSLContext, None]) -> Optional[ssl.SSLContext]:
    """How https:// managers are trusted: a file of authorities, a context, or (None) SKEP_CA, else the system's."""
    if isinstance(ca, ssl.SSLContext):
        return ca
    if not any(address.is_tls for address in addresses):
        return None
    context = ssl.create_default_context(cafile=ca or os.environ.get("SKEP_CA") or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
