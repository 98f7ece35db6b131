"""Requests: time limits, repetitions, narration, and errors in plain words."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from medbots import errors
from medbots.medplum import http, retry

BASE = "https://m.example.com/"
Step = httpx.Response | Exception

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBoDCCAUWgAwIBAgIUZMVekn0+j9fZ+0qHwpSbB012dSUwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZQW4gYXV0aG9yaXR5IG9mIG9uZSdzIG93bjAgFw0yNjExMjIx
NzU2NTlaGA8yMTI2MTAyOTE3NTY1OVowJDEiMCAGA1UEAwwZQW4gYXV0aG9yaXR5
IG9mIG9uZSdzIG93bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKjBcsU6GjjA
JrPOE7/x+bXB1YylIpykd1xK1bkbEpqZeXf6l9k6D06zxlii6JjTFyUw1APBR1Q0
bBg7Laa8y1mjUzBRMB0GA1UdDgQWBBTE1Kv0BHP0vKQ1p4PwhAVa+yR+TDAfBgNV
HSMEGDAWgBTE1Kv0BHP0vKQ1p4PwhAVa+yR+TDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0kAMEYCIQDopINgtpFGf0gFl+7nXKerN8j8VpW3LZl/3VZhEcvq
eQIhAMbXAL+DlVCfd3a91cew5D2xazjk749FZ3gbJSN3epJD
-----END CERTIFICATE-----
"""
"""A certificate for itself, made for these tests; its key is gone."""


class Line:
    """A server that answers one step after another."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def sleep(self, seconds: float) -> None:
        """Note the pause, and do not wait."""
        self.pauses.append(seconds)

    def http(self, base_url: str = BASE) -> http.Http:
        """Return the connection to it."""
        return http.Http(
            base_url,
            "env MEDPLUM_BASE_URL",
            transport=httpx.MockTransport(self),
            policy=retry.Policy(jitter=lambda: 0.0),
            sleep=self.sleep,
        )


def ok() -> httpx.Response:
    """Return a good answer."""
    return httpx.Response(200, json={"fine": True})


def chained(outer: Exception, cause: BaseException) -> Exception:
    """Return an exception as httpx raises it, with the cause below."""
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    "step",
    [
        httpx.Response(429), httpx.Response(502, html="<p>bad gateway"), httpx.Response(503),
        httpx.Response(504), httpx.ConnectError("x"), httpx.ReadError("x"),
        httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"),
    ],
    ids=lambda step: str(getattr(step, "status_code", type(step).__name__)),
)  # fmt: skip
async def test_reads_outlive_passing_trouble(step: Step) -> None:
    """A GET is sent again after a passing status or a broken connection."""
    line = Line(step, ok())
    answer = await line.http().send("GET", "fhir/R4/Bot")
    assert (answer.status, answer.document()) == (200, {"fine": True})
    assert len(line.requests) == 2
    assert line.pauses == [pytest.approx(0.15)]


async def test_patience_ends() -> None:
    """After four attempts the last answer stands."""
    line = Line(*(httpx.Response(503) for _ in range(4)))
    assert (await line.http().send("GET", "x")).status == 503
    assert len(line.pauses) == 3


async def test_rate_limit_is_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    """A 429 with Medplum's RateLimit header is waited out, also for a write, and said aloud."""
    limited = httpx.Response(429, headers=[("RateLimit", '"requests";r=0;t=57')])
    line = Line(limited, ok())
    answer = await line.http().send("POST", "auth/login", content=b"{}")
    assert answer.status == 200
    assert line.pauses == [57.0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "waiting 57 s" in caplog.text


async def test_retry_after_beyond_patience_is_not_waited() -> None:
    """Told to come back in an hour, it says so now."""
    line = Line(httpx.Response(429, headers={"Retry-After": "3600"}))
    assert (await line.http().send("GET", "x")).status == 429
    assert line.pauses == []


@pytest.mark.parametrize(
    "step",
    [httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")],
    ids=lambda step: type(step).__name__,
)
async def test_write_that_may_have_arrived_is_not_repeated(step: Exception) -> None:
    """A POST whose answer was lost is not sent twice, and the error says what is unknown."""
    line = Line(step)
    with pytest.raises(errors.UnreachableError, match="carried out is unknown"):
        await line.http().send("POST", "fhir/R4/Task", content=b"{}")
    assert len(line.requests) == 1


@pytest.mark.parametrize("step", [httpx.ConnectError("x"), httpx.ConnectTimeout("x")])
async def test_write_that_never_left_is_repeated(step: Exception) -> None:
    """A POST that found no connection is sent again."""
    line = Line(step, ok())
    assert (await line.http().send("POST", "fhir/R4/Task", content=b"{}")).ok


async def test_read_only_post_is_repeated() -> None:
    """A batch of reads is as safe as a read."""
    line = Line(httpx.Response(502), ok())
    assert (await line.http().send("POST", "fhir/R4/", content=b"{}", read_only=True)).ok


async def test_lost_race_is_run_again() -> None:
    """A 409 of a PUT or of a conditional create is repeated; of a plain create it is not."""
    for method, conditional, requests in (
        ("PUT", False, 2), ("POST", True, 2), ("POST", False, 1),
    ):  # fmt: skip
        line = Line(httpx.Response(409, json={}), ok())
        await line.http().send(method, "fhir/R4/Bot", content=b"{}", conditional=conditional)
        assert len(line.requests) == requests


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"
CERTIFICATE.verify_code = 18


@pytest.mark.parametrize(
    ("step", "words", "attempts"),
    [
        (chained(httpx.ConnectError("x"), ConnectionRefusedError()), "connection refused", 4),
        (chained(httpx.ConnectError("x"), socket.gaierror(-2, "x")), "host name is not known", 1),
        (chained(httpx.ConnectError("x"), CERTIFICATE), "self-signed certificate", 1),
        (chained(httpx.ConnectError("x"), ssl.SSLError(1, "x")), "TLS failed", 1),
        (httpx.ConnectTimeout("x"), "no connection within 10 s", 4),
        (httpx.ReadTimeout("x"), "no answer within 60 s", 4),
        (httpx.ConnectError("x"), "no connection", 4),
        (httpx.RemoteProtocolError("x"), "connection broke (RemoteProtocolError)", 4),
        (httpx.DecodingError("x"), "connection broke (DecodingError)", 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_unreachable_says_why(step: Exception, words: str, attempts: int) -> None:
    """Each way not to arrive has its words, the server, where its name came from, and exit 5."""
    line = Line(*[step] * attempts)
    with pytest.raises(errors.UnreachableError) as caught:
        await line.http().send("GET", "auth/me")
    said = caught.value.message
    assert said.startswith(f"{BASE} (env MEDPLUM_BASE_URL) cannot be reached: ")
    assert words in said
    assert caught.value.hint
    assert caught.value.exit_code == 5
    assert len(line.requests) == attempts


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_web_page_is_no_medplum(status: int) -> None:
    """An HTML answer asks whether this is a Medplum server, with its URL."""
    line = Line(httpx.Response(status, html="<!doctype html><p>secret page"))
    with pytest.raises(errors.UnreachableError, match="is this a Medplum server") as caught:
        await line.http().send("GET", "auth/me")
    assert BASE in caught.value.message
    assert "secret page" not in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(404, text="no such page"),
        httpx.Response(404, json={"error": "no such route"}),
    ],
)
async def test_path_unknown_to_another_server(answer: httpx.Response) -> None:
    """A Medplum says in an OperationOutcome what it does not know; any other 404 is not its own."""
    with pytest.raises(errors.UnreachableError, match="is this a Medplum server"):
        await Line(answer).http().send("POST", "auth/login", content=b"{}")


async def test_file_may_be_a_web_page() -> None:
    """What was stored as HTML may be read as HTML; an error page still is none of it."""
    line = Line(httpx.Response(200, html="<p>"), httpx.Response(404, html="<p>"))
    connection = line.http()
    answer = await connection.send("GET", "fhir/R4/Binary/1", any_type=True)
    assert (answer.content, answer.media_type) == (b"<p>", "text/html")
    with pytest.raises(errors.UnreachableError):
        await connection.send("GET", "fhir/R4/Binary/1", any_type=True)


async def test_redirect_is_not_followed() -> None:
    """A login is not handed on to whom the server points to."""
    line = Line(httpx.Response(302, headers={"Location": "https://evil.example.com/auth/me?a=b"}))
    with pytest.raises(errors.UnreachableError, match=r"redirects to evil\.example\.com"):
        await line.http().send("GET", "auth/me", headers={"Authorization": "Bearer plant"})
    assert len(line.requests) == 1


@pytest.mark.parametrize("path", ["https://evil.example.com/x", "/fhir/R4/Bot", "//evil/x"])
async def test_only_paths_of_the_server(path: str) -> None:
    """No path can lead to another server."""
    with pytest.raises(ValueError, match="relative to the base URL"):
        await Line().http().send("GET", path)


async def test_time_limit_holds_for_the_whole_answer() -> None:
    """A server that answers without end is given up."""

    async def trickle(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return ok()

    connection = http.Http(
        BASE,
        transport=httpx.MockTransport(trickle),
        policy=retry.Policy(attempts=1),
    )
    with pytest.raises(errors.UnreachableError, match="no answer within 0 s"):
        await connection.send("GET", "x", time_limit=0.05)


async def test_server_that_hangs_is_not_asked_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long wait for nothing, not even a read is tried again."""
    monkeypatch.setattr(http, "_PATIENCE", 0.0)
    line = Line(httpx.ReadTimeout("x"))
    with pytest.raises(errors.UnreachableError):
        await line.http().send("GET", "auth/me")
    assert len(line.requests) == 1


@pytest.mark.parametrize(
    ("base_url", "variable", "value"),
    [
        ("https://m.example.com/", "SSL_CERT_FILE", "/no/such/file.pem"),
        ("https://m.example.com/", "HTTPS_PROXY", "socks9://proxy.example.com"),
        ("https://\u2260.example.com/", "UNUSED", "x"),
    ],
)
def test_environment_that_cannot_work(
    base_url: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate file, proxy or host name that cannot be is a mistake to mend, not a crash."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(errors.UsageError, match="cannot be called from this environment") as caught:
        http.Http(base_url)
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


async def test_narration_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Method, path, status and time are narrated; queries, headers and bodies are not."""
    caplog.set_level(logging.DEBUG, "medbots")
    line = Line(ok(), httpx.ConnectError("plant"), ok())
    connection = line.http()
    headers = {"Authorization": "Bearer plant"}
    await connection.send("GET", "fhir/R4/Patient?name=plant", headers=headers)
    await connection.send("POST", "oauth2/token", content=b"plant", params={"code": "plant"})
    said = [record.getMessage() for record in caplog.records]
    assert [line.rsplit(" ", 2)[0] for line in said] == [
        "GET fhir/R4/Patient 200", "POST oauth2/token no answer", "POST oauth2/token 200",
    ]  # fmt: skip
    assert "plant" not in caplog.text


async def test_requests_of_the_login_are_not_counted() -> None:
    """`requests` begins after the login, and counts repetitions."""
    line = Line(ok(), ok(), httpx.Response(503), ok())
    connection = line.http()
    for method, path in (("POST", "auth/login"), ("POST", "oauth2/token"), ("GET", "fhir/R4/Bot")):
        await connection.send(method, path)
    assert connection.sent == 2


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"HTTPS_PROXY": "http://proxy.example.com:3128"}, True),
        ({"ALL_PROXY": "http://proxy.example.com:3128"}, True),
        ({"HTTP_PROXY": "http://proxy.example.com:3128"}, False),
        ({"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": "example.com"}, False),
        ({}, False),
    ],
)
async def test_a_proxy_is_named_among_the_suspects(
    variables: dict[str, str], *, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a proxy stands between, it may be the proxy that does not answer."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refused = [chained(httpx.ConnectError("x"), ConnectionRefusedError()) for _ in range(4)]
    with pytest.raises(errors.UnreachableError) as caught:
        await Line(*refused).http().send("GET", "auth/me")
    assert ("through the proxy" in caught.value.message) is told
    assert ("HTTPS_PROXY" in (caught.value.hint or "")) is told


async def test_the_local_stack_is_down() -> None:
    """Whose address is the local profile's is started by one command."""
    refused = chained(httpx.ConnectError("x"), ConnectionRefusedError())
    connection = http.Http(
        "http://localhost:8103/",
        "profile local",
        transport=httpx.MockTransport(Line(refused)),
        policy=retry.Policy(attempts=1),
    )
    with pytest.raises(errors.UnreachableError) as caught:
        await connection.send("GET", "auth/me")
    assert caught.value.hint == "medbots local up"


@pytest.mark.parametrize(
    ("code", "helps"),
    [(10, "renew it"), (62, "name the server as"), (64, "name the server as"), (18, "SSL_CERT_")],
)
async def test_what_helps_with_a_certificate(code: int, helps: str) -> None:
    """Trusting an authority helps neither an expired certificate nor one of another host."""
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_message, refused.verify_code = "refused", code
    with pytest.raises(errors.UnreachableError) as caught:
        await Line(chained(httpx.ConnectError("x"), refused)).http().send("GET", "auth/me")
    assert (caught.value.hint or "").startswith(helps)


@pytest.mark.parametrize("base_url", ["https://localhost:8443/", "https://m.example.com/"])
def test_an_authority_of_ones_own(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE says whom to trust, on this machine too."""
    trusted = tmp_path / "ca.pem"
    trusted.write_text(AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    (found,) = http._trust(base_url).get_ca_certs()
    assert found["subject"] == ((("commonName", "An authority of one's own"),),)


@pytest.mark.parametrize(
    ("base_url", "trusts"),
    [("http://localhost:8103/", False), ("https://m.example.com/", True)],
)
def test_proxies_do_not_see_this_machine(base_url: str, *, trusts: bool) -> None:
    """What is for loopback does not go to a proxy that the environment names."""
    assert http.Http(base_url)._client.trust_env is trusts
