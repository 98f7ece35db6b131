"""Requests to one server: time limits, repetitions, narration, and errors in plain words."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

import medbots
from medbots import errors, urls
from medbots.medplum import outcome, retry

LOG = logging.getLogger("medbots.http")

CONNECT_LIMIT = 10.0
"""Seconds to reach the server."""
TIME_LIMIT = 60.0
"""Seconds for one request and its answer, unless the caller says more."""
_PATIENCE = 20.0
"""Seconds since the first attempt, after which a connection that broke is not tried again."""

_LOGIN = ("auth/", "oauth2/")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered."""

    status: int
    content: bytes
    media_type: str
    """Content-Type without parameters, in lower case."""
    request: str
    """Method and path, for messages."""
    location: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300  # noqa: PLR2004

    def document(self) -> Any:
        """Return the JSON of the body; None where it is empty or not JSON."""
        try:
            return json.loads(self.content) if self.content else None
        except ValueError:
            return None


class Http:
    """One server, reached through one pool of connections. Knows nothing of logins."""

    def __init__(
        self,
        base_url: str,
        origin: str = "default",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        policy: retry.Policy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.base_url = base_url
        self.sent = 0
        """Requests that went out so far, repetitions included, those of logging in not."""
        self._server = f"{base_url} ({origin})"
        self._start = "medbots local up" if origin == "profile local" else _START
        self._policy = policy or retry.Policy()
        self._sleep = sleep
        try:
            self._client = httpx.AsyncClient(
                base_url=base_url,
                transport=transport,
                verify=_trust(base_url),
                # A proxy of the environment must not see what stays on this machine.
                trust_env=not urls.is_loopback(base_url),
                follow_redirects=False,
                headers={"User-Agent": f"medbots/{medbots.__version__}"},
            )
        except (OSError, ImportError, ValueError, httpx.InvalidURL) as exc:
            raise errors.UsageError(
                f"{self._server} cannot be called from this environment: {exc}",
                hint="check the URL, and SSL_CERT_FILE, HTTPS_PROXY and ALL_PROXY if they are set",
            ) from exc

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        time_limit: float = TIME_LIMIT,
        read_only: bool = False,
        conditional: bool = False,
        any_type: bool = False,
        most: int | None = None,
    ) -> Answer:
        """Send a request, again where that is safe, and return the last answer.

        Args:
            method: HTTP method.
            path: relative to the base URL; it may carry a query, which is never narrated.
            headers: besides those that every request has.
            params: query parameters.
            content: the body.
            time_limit: seconds for each attempt.
            read_only: a POST that changes nothing, repeated like a GET.
            conditional: a POST that a repetition cannot carry out twice.
            any_type: the answer is a file, which may well be a page of HTML.
            most: bytes of a file that are read; all without it.

        Raises:
            errors.UnreachableError: no answer came, or not from a Medplum server's API.
        """
        if "://" in path or path.startswith("/"):
            raise ValueError(f"a path relative to the base URL is wanted, not {path!r}")
        request = self._client.build_request(
            method,
            path,
            headers=dict(headers or {}),
            params=params,
            content=content,
            timeout=httpx.Timeout(time_limit, connect=min(CONNECT_LIMIT, time_limit)),
        )
        safely = "GET" if read_only else method
        name = f"{method} {path.partition('?')[0]}"
        attempt, start = 0, time.monotonic()
        while True:
            attempt += 1
            try:
                answer, asked = await self._once(request, name, time_limit, most)
                if not (any_type and answer.ok):
                    self._expect_medplum(answer)
            except httpx.RequestError as exc:
                patient = time.monotonic() - start < _PATIENCE and _may_repeat(safely, exc)
                pause = self._policy.pause(attempt) if patient else None
                if pause is None:
                    raise self._unreachable(exc, name, time_limit) from exc
            else:
                again = retry.repeatable(
                    safely, answer.status, conditional=conditional, asked=asked
                )
                pause = self._policy.pause(attempt, asked) if again else None
                if pause is None:
                    return answer
                if answer.status == 429:  # noqa: PLR2004
                    LOG.warning("%s limits requests; waiting %.0f s", self.base_url, pause)
            await self._sleep(pause)

    async def _once(
        self, request: httpx.Request, name: str, time_limit: float, most: int | None
    ) -> tuple[Answer, float | None]:
        """Send it once; return the answer and the pause that the server asked for."""
        self.sent += not name.split(" ")[1].startswith(_LOGIN)
        start = time.monotonic()
        status = "no answer"
        try:
            async with asyncio.timeout(time_limit):
                response = await self._client.send(request, stream=True)
                content = await _body(response, most)
            status = str(response.status_code)
        except TimeoutError as exc:
            raise httpx.ReadTimeout("no complete answer", request=request) from exc
        finally:
            LOG.debug("%s %s %.0f ms", name, status, (time.monotonic() - start) * 1000)
        answer = Answer(
            status=response.status_code,
            content=content,
            media_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            request=name,
            location=response.headers.get("Location", ""),
        )
        limits = response.headers.get_list("RateLimit")
        asked = retry.asked_pause(response.headers.get("Retry-After"), limits, answer.status)
        return answer, asked

    def _expect_medplum(self, answer: Answer) -> None:
        """Refuse what no Medplum server would answer."""
        if answer.status in retry.TRANSIENT:
            return
        hint = outcome.WRONG_SERVER
        if 300 <= answer.status < 400:  # noqa: PLR2004
            target = urls.host(answer.location) or "another path"
            raise errors.UnreachableError(
                f"{answer.request}: {self._server} redirects to {target}; medbots does not follow, "
                "since that would hand the login on",
                hint=hint,
            )
        page = answer.media_type == "text/html"
        if page or (answer.status == 404 and not outcome.is_outcome(answer.document())):  # noqa: PLR2004
            what = "an HTML page instead of JSON" if page else "a 404 that is no Medplum's"
            raise errors.UnreachableError(
                f"{answer.request}: {self._server} answered with {what} (HTTP {answer.status}): "
                "is this a Medplum server?",
                hint=hint,
            )

    def _unreachable(
        self, exc: httpx.RequestError, name: str, time_limit: float
    ) -> errors.UnreachableError:
        why, hint = _reason(exc, time_limit, self._start)
        tls = any(isinstance(one, ssl.SSLError) for one in _causes(exc))
        if isinstance(exc, httpx.TransportError) and not tls and urls.proxied(self.base_url):
            why += ", through the proxy that the environment names"
            hint = "check HTTPS_PROXY and ALL_PROXY, or name this host in NO_PROXY"
        message = f"{self._server} cannot be reached: {why}"
        if not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout) and "GET" not in name:
            message += f"; whether {name} was carried out is unknown"
        return errors.UnreachableError(message, hint=hint)


async def _body(response: httpx.Response, most: int | None) -> bytes:
    """Read what an answer brings, of a file its first `most` bytes, and be done with it."""
    try:
        if most is None or not response.is_success:
            return await response.aread()
        found = bytearray()
        async for part in response.aiter_bytes():
            found += part
            if len(found) >= most:
                break
        return bytes(found[:most])
    finally:
        await response.aclose()


def _trust(base_url: str) -> ssl.SSLContext:
    """Return whom to trust; for plain HTTP nobody, which saves loading the certificates.

    SSL_CERT_FILE counts on this machine too, where nothing else of the environment does.
    """
    if base_url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()


def _causes(exc: BaseException) -> list[BaseException]:
    """Return the chain of causes, the exception itself first."""
    chain: list[BaseException] = []
    one: BaseException | None = exc
    while one is not None and one not in chain:
        chain.append(one)
        if isinstance(one, BaseExceptionGroup):
            chain.extend(one.exceptions)
        one = one.__cause__ or one.__context__
    return chain


def _may_repeat(method: str, exc: httpx.RequestError) -> bool:
    """Whether the same request may succeed a moment later, and can do no harm twice."""
    if any(isinstance(one, ssl.SSLError | socket.gaierror) for one in _causes(exc)):
        return False
    if isinstance(exc, httpx.UnsupportedProtocol | httpx.ProxyError):
        return False
    nothing_sent = isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return nothing_sent or method == "GET"


_CERTIFICATES = {
    10: "renew it on the server, or correct the clock of this machine",
    62: "name the server as its certificate does, in MEDPLUM_BASE_URL or --base-url",
    64: "name the server as its certificate does, in MEDPLUM_BASE_URL or --base-url",
}
"""What helps, by OpenSSL's code: expired, other host name, other address."""


_START = "start the server, or name another one by MEDPLUM_BASE_URL or --base-url"


def _reason(exc: httpx.RequestError, time_limit: float, start: str) -> tuple[str, str]:
    """Say why no answer came, and what helps."""
    chain = _causes(exc)
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            own = "SSL_CERT_FILE=/path/to/ca.pem trusts an authority of your own"
            return (
                f"its TLS certificate is not trusted ({one.verify_message})",
                _CERTIFICATES.get(one.verify_code, own),
            )
        if isinstance(one, ssl.SSLError):
            return (
                f"TLS failed ({getattr(one, 'reason', None) or type(one).__name__})",
                "is it http:// that the server speaks?",
            )
        if isinstance(one, socket.gaierror):
            return ("its host name is not known", "check the name, or the network")
    if isinstance(exc, httpx.ConnectTimeout):
        return (f"no connection within {min(CONNECT_LIMIT, time_limit):.0f} s", start)
    if isinstance(exc, httpx.TimeoutException):
        return (f"no answer within {time_limit:.0f} s", "is the server overloaded?")
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return ("connection refused", start)
    if isinstance(exc, httpx.ConnectError):
        return ("no connection", start)
    return (f"the connection broke ({type(exc).__name__})", "run the command again")
