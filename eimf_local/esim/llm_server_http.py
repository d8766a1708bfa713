"""JSON over HTTP for :mod:`llm_server`, by the standard library: retries, one clear line for each failure, and a stop.

No proxy is used and no redirect followed, so the key reaches the given host alone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import InferenceError

API_KEY = "EIMF_LOCAL_API_KEY"
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 600.0
_TRIES = 6
_FIRST_WAIT_SECONDS = 0.5  # doubled each time; 15 s in all
_LONGEST_WAIT_SECONDS = 30.0
_LARGEST_REPLY = 16 * 2**20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class UnansweredError(Exception):
    """This request gets no answer; others may."""


class RefusedError(UnansweredError):
    """The server found fault with the request itself; the text is its reason."""


class _PassingError(Exception):
    """Worth another try, after ``wait`` seconds where the server said so."""

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _UnreachableError(_PassingError):
    """No connection."""


class JsonClient:
    """Requests below a base URL, from any thread. A key is taken from the environment, and never shown."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = os.environ.get(API_KEY, "").strip()
        self._reached = False
        self._stopped = threading.Event()
        self._sockets: set[socket.socket] = set()

    def open(self) -> None:
        """Allow requests again after :meth:`close`."""
        self._stopped.clear()

    def close(self) -> None:
        """Break off the requests under way, in whatever thread; each ends as unanswered."""
        self._stopped.set()
        for open_socket in tuple(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, probing: bool = False) -> Any:
        """The reply's JSON.

        Connection losses, 429 and 5xx are tried again. Raises :class:`UnansweredError` where that does not help, and
        :class:`InferenceError` for what would meet every other request too. With ``probing`` a 500 is a refusal:
        llama-cpp-python's answer to a form that it does not know.
        """
        passing = _PASSING - {500} if probing else _PASSING
        for attempt in range(1, _TRIES + 1):
            try:
                return self._exchange(method, path, body, passing)
            except _PassingError as problem:
                last = problem
            if isinstance(last, _UnreachableError) and not self._reached:
                break
            wait = last.wait or _FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
            if attempt < _TRIES and self._stopped.wait(wait):
                raise UnansweredError("broken off")
        if isinstance(last, _UnreachableError):
            raise InferenceError(
                f"server {self.url} cannot be reached: {last}",
                hint="start it or mend the URL; answers so far are kept, run the same command to go on",
            )
        raise UnansweredError(f"{last} ({attempt} tries)")

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, passing: frozenset[int]) -> Any:
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        with self._connection() as connection:
            try:
                connection.request(method, urlsplit(self.url).path + path, data, headers)
                with connection.getresponse() as response:
                    self._reached = True
                    content = response.read(_LARGEST_REPLY)
            except TimeoutError:
                raise UnansweredError(f"no answer within {_ANSWER_SECONDS:.0f} s") from None
            except (OSError, http.client.HTTPException) as error:
                raise _PassingError(f"the connection broke ({type(error).__name__})") from None
        self._check_status(response, path, content, passing)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise _PassingError("its reply is no JSON") from None

    @contextlib.contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_CONNECT_SECONDS)
        try:
            _connect(connection, self.url)
            opened: socket.socket = connection.sock  # http.client forgets it once the headers are read
            opened.settimeout(_ANSWER_SECONDS)
            self._sockets.add(opened)
            try:
                if self._stopped.is_set():
                    raise UnansweredError("broken off")
                yield connection
            finally:
                self._sockets.discard(opened)
        finally:
            connection.close()

    def _check_status(
        self, response: http.client.HTTPResponse, path: str, content: bytes, passing: frozenset[int]
    ) -> None:
        status = response.status
        if status == 200:
            return
        said = self._reason(content) or response.reason
        if status in passing:
            raise _PassingError(f"HTTP {status}: {said}", wait=_retry_after(response))
        if status in (401, 403):
            raise InferenceError(
                f"server {self.url} wants {'another' if self._key else 'a'} key (HTTP {status})",
                hint=f"put its API key into the environment variable {API_KEY}",
            )
        if status == 404:
            raise InferenceError(
                f"server {self.url} has no such model or address {path}: {said}",
                hint="give its base URL, such as http://127.0.0.1:8000/v1, and the model as #NAME if it serves several",
            )
        if 300 <= status < 400:
            raise InferenceError(
                f"server {self.url} redirects to {response.headers.get('Location', 'elsewhere')}", hint="give that URL"
            )
        raise RefusedError(f"HTTP {status}: {said}")

    def _reason(self, content: bytes) -> str:
        """The server's own words, one line, without the key."""
        text = content.decode("utf-8", errors="replace")
        with contextlib.suppress(ValueError, RecursionError):
            text = _message(json.loads(text))
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _connect(connection: http.client.HTTPConnection, url: str) -> None:
    try:
        connection.connect()
    except ssl.SSLError as error:
        raise InferenceError(
            f"server {url}: no secure connection ({getattr(error, 'verify_message', '') or error.reason or error})",
            hint="trust its certificate with SSL_CERT_FILE, or use http:// if it speaks no TLS",
        ) from None
    except OSError as error:
        raise _UnreachableError(error.strerror or str(error)) from None


def _retry_after(response: http.client.HTTPResponse) -> float:
    """Seconds that the server asks to wait; 0 where it does not say (dates are not read)."""
    try:
        return min(max(float(response.headers.get("Retry-After", 0)), 0.0), _LONGEST_WAIT_SECONDS)
    except ValueError:
        return 0.0


def _message(reply: Any) -> str:
    """The text in ``{"error": {"message": ...}}`` and its relatives."""
    while isinstance(reply, dict):
        inner = next((reply[key] for key in ("error", "message", "detail") if reply.get(key)), None)
        if inner is None:
            break
        reply = inner
    return reply if isinstance(reply, str) else json.dumps(reply)
