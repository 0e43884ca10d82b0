"""Every shipped alert channel against real loopback servers: what it sends, and what it makes of servers that are down, slow or odd."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from dudzian_daemon.adapters.http import MOST_BYTES, HttpClient, only_loopback
from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.alert_channels import AlertChannel, ChannelTools
from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity, alert
from dudzian_daemon.domain.errors import AuthFailed, ConfigError, Offline, Permanent, Retryable
from dudzian_daemon.domain.records import RiskChange
from tests.integration.loopback_ports import MailServer, closed_port
from tests.unit.sinks.alert_bench import Bench, ScriptedChannel

pytestmark = pytest.mark.integration

TOKEN = "123456:canary-of-a-token"
TOLD = msgspec.structs.replace(
    alert(AlertCode.RISK_DAILY_LIMIT, "daily loss limit of balanced passed", "closing_all (now)."), footer="journal abc sequence 7"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """A loopback HTTP server that keeps what it is sent and answers as `answer` says."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.asked = anyio.Event()
        self.answer: Handler = self.taken
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers), await request.text()))
        self.asked.set()
        return await self.answer(request)

    @staticmethod
    async def taken(_request: web.Request) -> web.StreamResponse:
        result = {"ok": True, "result": {"message_id": 5, "username": "bot"}, "access_token": "granted"}
        return web.json_response(result)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.requests[-1][3])
        return found


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", found.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        found.url = f"http://127.0.0.1:{server.port}"
        yield found


@asynccontextmanager
async def channel(plugin: str, folder: Path, *, secret: str = "", **parameters: Any) -> AsyncIterator[AlertChannel]:
    source = await anyio.to_thread.run_sync(lambda: load_plugin("alerts", plugin, [bundled("plugins")]))
    http = HttpClient(only_loopback)
    tools = ChannelTools(
        name=f"{plugin}:test", secret=secret, http=http, require_reachable=only_loopback, data_folder=str(folder), timeout_seconds=60
    )
    try:
        params = msgspec.convert(parameters, source.plugin.Params)
        made: AlertChannel = await anyio.to_thread.run_sync(source.plugin, params, tools)
        yield made
    finally:
        await http.close()


def parameters_of(plugin: str, url: str) -> dict[str, Any]:
    return {
        "telegram": {"chat_id": "42", "api_url": url},
        "webhook": {"url": f"{url}/hook"},
        "messenger": {"recipient_id": "9", "api_url": url},
        "sms": {"recipients": "+48123", "url": f"{url}/sms"},
    }[plugin]


HTTP_CHANNELS = ["telegram", "webhook", "messenger", "sms"]


# -- what they send ----------------------------------------------------------------------------------------------------


async def test_telegram_sends_the_text_to_its_chat(tmp_path: Path) -> None:
    async with receiver() as server, channel("telegram", tmp_path, secret=TOKEN, chat_id="@desk", api_url=server.url) as telegram:
        assert await telegram.send(TOLD) == "message 5"
        assert server.requests[-1][1] == f"/bot{TOKEN}/sendMessage"
        assert server.document["chat_id"] == "@desk" and server.document["disable_notification"] is False
        assert server.document["text"].startswith("[CRITICAL] RISK-DAILY-LIMIT: daily loss limit of balanced passed\nclosing_all (now).\n")
        assert server.document["text"].endswith("-- journal abc sequence 7")
        assert await telegram.check() == "bot bot"


async def test_markdown_is_escaped_so_that_it_looks_the_same(tmp_path: Path) -> None:
    parameters = {"chat_id": 1, "parse_mode": "MarkdownV2"}
    async with receiver() as server, channel("telegram", tmp_path, secret=TOKEN, api_url=server.url, **parameters) as telegram:
        await telegram.send(TOLD)
        assert "closing\\_all \\(now\\)\\." in server.document["text"] and server.document["text"].startswith("\\[CRITICAL\\] RISK\\-DAILY")


@pytest.mark.parametrize(
    ("parameters", "secret", "header", "body"),
    [
        ({}, "s3cret-token", "Bearer s3cret-token", "to=%2B48123&message=%5BCRITICAL%5D"),
        ({"auth": "basic", "sender": "desk"}, "user:pass", f"Basic {base64.b64encode(b'user:pass').decode()}", "&from=desk"),
        ({"auth": "field", "auth_field": "key"}, "s3cret-token", "", "&key=s3cret-token"),
        ({"encoding": "json", "text_field": "txt"}, "s3cret-token", "Bearer s3cret-token", '"txt":'),
    ],
    ids=["bearer", "basic", "field", "json"],
)
async def test_an_sms_goes_by_any_http_interface(tmp_path: Path, parameters: dict[str, str], secret: str, header: str, body: str) -> None:
    async with receiver() as server, channel("sms", tmp_path, secret=secret, **parameters_of("sms", server.url), **parameters) as sms:
        assert await sms.send(TOLD) == "1 sent"
        _method, path, headers, text = server.requests[-1]
        assert (path, headers.get("Authorization", "")) == ("/sms", header) and body in text


async def test_the_preset_orange_asks_for_a_token_and_for_a_new_one_when_it_is_over(tmp_path: Path) -> None:
    parameters = {"preset": "orange", "recipients": "+48123, +48124", "sender": "+48000"}
    async with receiver() as server, channel("sms", tmp_path, secret="id:pw", url=server.url, **parameters) as sms:
        assert await sms.send(TOLD) == "2 sent"
        paths = [path for _method, path, _headers, _text in server.requests]
        assert paths == ["/oauth/v3/token", *["/smsmessaging/v1/outbound/tel:+48000/requests"] * 2]
        assert server.requests[0][2]["Authorization"] == f"Basic {base64.b64encode(b'id:pw').decode()}"
        message = server.document["outboundSMSMessageRequest"]
        assert (message["address"], message["senderAddress"]) == ("tel:+48124", "tel:+48000")
        assert len(message["outboundSMSTextMessage"]["message"]) <= 320

        refused = iter([401])

        async def over(request: web.Request) -> web.StreamResponse:
            return web.Response(status=next(refused, 201)) if "requests" in request.path else await Receiver.taken(request)

        server.answer = over
        assert await sms.send(TOLD) == "2 sent"
        assert [path for _m, path, _h, _t in server.requests[3:]].count("/oauth/v3/token") == 1


async def test_messenger_sends_to_its_recipient_and_keeps_the_token_out_of_the_url(tmp_path: Path) -> None:
    async with receiver() as server, channel("messenger", tmp_path, secret=TOKEN, recipient_id=7, api_url=server.url) as messenger:
        await messenger.send(TOLD)
        _method, path, headers, _text = server.requests[-1]
        assert (path, headers["Authorization"], server.document["recipient"]) == ("/me/messages", f"Bearer {TOKEN}", {"id": "7"})
        await messenger.check()


async def test_a_webhook_gets_the_whole_alert_and_chats_the_text_alone(tmp_path: Path) -> None:
    async with receiver() as server:
        async with channel("webhook", tmp_path, url=f"{server.url}/hook") as webhook:
            await webhook.send(TOLD)
            assert (server.document["code"], server.document["key"], server.document["severity"]) == (
                "RISK-DAILY-LIMIT",
                TOLD.key,
                "critical",
            )
            await webhook.check()
        async with channel("webhook", tmp_path, secret=f"{server.url}/{TOKEN}", text_only=True) as chat:
            await chat.send(TOLD)
            assert list(server.document) == ["text"]


async def test_a_file_gets_a_line(tmp_path: Path) -> None:
    async with channel("file", tmp_path, path="logs/x.jsonl") as file:
        assert await file.check() == "can be written"
        await file.send(TOLD)
        await file.send(TOLD)
    lines = (tmp_path / "logs" / "x.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Alert) for line in lines] == [TOLD, TOLD]


async def test_a_hard_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "else").write_text("of somebody else")
    (tmp_path / "logs" / "x.jsonl").hardlink_to(tmp_path / "else")
    async with channel("file", tmp_path, path="logs/x.jsonl") as file:
        with pytest.raises(Retryable, match="a hard link"):
            await file.check()
        with pytest.raises(Retryable, match="a hard link"):
            await file.send(TOLD)
    assert (tmp_path / "else").read_text() == "of somebody else"


async def test_a_file_that_cannot_be_written_may_be_later(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder belongs")
    async with channel("file", tmp_path) as file:
        with pytest.raises(Retryable, match="cannot write"):
            await file.send(TOLD)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # what Apprise imports
async def test_apprise_sends_to_its_url(tmp_path: Path) -> None:
    async with receiver() as server:
        async with channel("apprise", tmp_path, secret=server.url.replace("http://", "json://")) as apprise:
            await apprise.send(TOLD)
            assert server.document["title"] == "[CRITICAL] RISK-DAILY-LIMIT: daily loss limit of balanced passed"

            async def broken(_request: web.Request) -> web.StreamResponse:
                return web.Response(status=500)

            server.answer = broken
            with pytest.raises(Retryable):
                await apprise.send(TOLD)
        with pytest.raises(ConfigError, match="expected an Apprise URL"):
            async with channel("apprise", tmp_path, secret="nonsense"):
                pass
        async with channel("apprise", tmp_path, secret="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ") as far:
            with pytest.raises(Offline):
                await far.send(TOLD)


# -- what they make of odd servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", HTTP_CHANNELS)
@pytest.mark.parametrize(
    ("status", "fault"),
    [(429, Retryable), (500, Retryable), (503, Retryable), (401, AuthFailed), (403, AuthFailed), (400, Permanent), (302, Permanent)],
)
async def test_a_status_says_whether_to_try_again(tmp_path: Path, plugin: str, status: int, fault: type[Exception]) -> None:
    async with receiver() as server, channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, server.url)) as made:

        async def odd(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": "http://169.254.0.1/"}, text=TOKEN)

        server.answer = odd
        with pytest.raises(fault) as raised:
            await made.send(TOLD)
    assert type(raised.value) is fault and str(raised.value) == f"127.0.0.1 answered {status}"


@pytest.mark.parametrize("plugin", HTTP_CHANNELS)
async def test_an_answer_of_ten_megabytes_is_not_read(tmp_path: Path, plugin: str) -> None:
    async with receiver() as server, channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, server.url)) as made:
        server.answer = ten_megabytes
        with pytest.raises(Retryable, match=f"127.0.0.1 answered more than {MOST_BYTES // 1024} KiB"):
            await made.send(TOLD)


@pytest.mark.parametrize("plugin", HTTP_CHANNELS)
async def test_a_server_that_is_down_or_speaks_no_tls_gives_no_answer_and_no_token_away(tmp_path: Path, plugin: str, refusing: int) -> None:
    async with receiver() as server:
        for url in (server.url.replace("http:", "https:"), f"http://127.0.0.1:{refusing}"):
            async with channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, url)) as made:
                with pytest.raises(Retryable, match=r"127\.0\.0\.1 gave no answer") as raised:
                    await made.send(TOLD)
                assert TOKEN not in str(raised.value) and raised.value.__cause__ is None


@pytest.mark.parametrize("plugin", HTTP_CHANNELS)
async def test_offline_and_in_the_clear_nobody_far_away_is_asked(tmp_path: Path, plugin: str) -> None:
    async with channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, "https://alerts.invalid")) as made:
        with pytest.raises(Offline, match=r"alerts\.invalid is not asked"):
            await made.send(TOLD)
    async with channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, "http://alerts.invalid")) as made:
        with pytest.raises(Permanent, match="expected https"):
            await made.send(TOLD)


async def ten_megabytes(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    with suppress(ConnectionError):
        for _ in range(160):
            await answer.write(b"x" * 65_536)
    return answer


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port at which nobody listens."""
    with closed_port() as port:
        yield port


# -- mail --------------------------------------------------------------------------------------------------------------


class Mailbox:
    """Takes mails, unless `answer` is set."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.answer = ""

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd calls it by this name
        if self.answer:
            return self.answer
        self.mails.append(envelope)
        return "250 taken"


@contextmanager
def mail_server(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    controller = MailServer(mailbox, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mail(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "sender": "dudzian@x.pl", "recipients": "a@x.pl, b@x.pl", "security": "none"} | more


async def test_a_mail_goes_to_every_recipient(tmp_path: Path) -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        async with channel("email", tmp_path, **mail(port)) as email:
            assert await email.send(TOLD) == "127.0.0.1 took it for 2"
            await email.check()
    (envelope,) = mailbox.mails
    words = envelope.content.decode() if isinstance(envelope.content, bytes) else str(envelope.content)
    assert envelope.rcpt_tos == ["a@x.pl", "b@x.pl"]
    assert "Subject: [CRITICAL] RISK-DAILY-LIMIT: daily loss limit of balanced passed" in words and "Importance: high" in words
    assert "-- journal abc sequence 7" in words


@pytest.mark.parametrize(("answer", "fault"), [("451 later", Retryable), ("554 never", Permanent)])
async def test_what_a_mail_server_says_decides_whether_to_try_again(tmp_path: Path, answer: str, fault: type[Exception]) -> None:
    mailbox = Mailbox()
    mailbox.answer = answer
    with mail_server(mailbox) as port:
        async with channel("email", tmp_path, **mail(port)) as email:
            with pytest.raises(fault) as raised:
                await email.send(TOLD)
    assert type(raised.value) is fault


async def test_a_wrong_password_is_told_without_it(tmp_path: Path) -> None:
    def refuse(*_: object) -> AuthResult:
        return AuthResult(success=False, handled=False)

    with mail_server(Mailbox(), authenticator=refuse, auth_require_tls=False) as port:
        async with channel("email", tmp_path, secret=TOKEN, **mail(port, username="desk")) as email:
            with pytest.raises(AuthFailed, match=r"^127\.0\.0\.1 refuses the login$"):
                await email.send(TOLD)


async def test_a_right_password_is_taken(tmp_path: Path) -> None:
    def grant(_server: object, _session: object, _envelope: object, _mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=data.password == TOKEN.encode())

    mailbox = Mailbox()
    with mail_server(mailbox, authenticator=grant, auth_require_tls=False) as port:
        async with channel("email", tmp_path, secret=TOKEN, **mail(port, username="desk")) as email:
            await email.send(TOLD)
    assert len(mailbox.mails) == 1


async def test_mail_servers_without_tls_or_with_endless_replies_give_no_answer(tmp_path: Path, refusing: int) -> None:
    with mail_server(Mailbox()) as port:
        for security in ("starttls", "tls"):
            async with channel("email", tmp_path, **mail(port, security=security)) as email:
                with pytest.raises(Retryable, match="gave no answer"):
                    await email.send(TOLD)
    async with talking(b"220-x\r\n" * 1_500_000) as port, channel("email", tmp_path, **mail(port)) as email:
        with pytest.raises(Retryable, match="gave no answer"):
            await email.check()
    async with channel("email", tmp_path, **mail(refusing)) as email:
        with pytest.raises(Retryable, match="gave no answer"):
            await email.send(TOLD)


async def test_far_mail_servers_need_tls_and_are_not_asked_offline(tmp_path: Path) -> None:
    with pytest.raises(msgspec.ValidationError, match="expected security starttls or tls"):
        async with channel("email", tmp_path, **mail(25, host="mail.invalid")):
            pass
    async with channel("email", tmp_path, **mail(25, host="mail.invalid", security="tls")) as email:
        with pytest.raises(Offline):
            await email.send(TOLD)


@asynccontextmanager
async def talking(words: bytes) -> AsyncIterator[int]:
    """A server that says so much to whoever connects."""

    async def talk(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(words)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


# -- a channel that is out, behind the sink ----------------------------------------------------------------------------


async def hang(_request: web.Request) -> web.StreamResponse:
    await anyio.Event().wait()
    return web.Response()


async def too_many(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=429)


TRIP = RiskChange(profile="balanced", change="tripped", state="reducing", rule="max_daily_loss_pct", limit=None, value=None)


@pytest.mark.parametrize("trouble", ["down", "slow", "429", "tls", "10 MB"])
@pytest.mark.parametrize("plugin", ["telegram", "sms"])
async def test_an_outage_is_told_once_on_the_fallback_and_what_waits_comes_after_it_over_a_restart_too(
    tmp_path: Path, plugin: str, trouble: str, refusing: int
) -> None:
    async with receiver() as server:
        url = {"down": f"http://127.0.0.1:{refusing}", "tls": server.url.replace("http:", "https:")}.get(trouble, server.url)
        server.answer = {"slow": hang, "429": too_many, "10 MB": ten_megabytes}.get(trouble, server.answer)
        routes = {Severity.CRITICAL: [f"{plugin}:a"]}
        spare = ScriptedChannel()
        async with channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, url)) as made:
            bench = Bench(
                tmp_path, {f"{plugin}:a": Unchecked(made), "file:b": spare}, routes=routes, timeout_seconds=60 if trouble == "slow" else 5
            )
            async with bench.running():
                bench.cycle(1, risk=(TRIP,))
                if trouble == "slow":
                    await server.asked.wait()
                    await bench.clock.advance(60)
                await bench.until(lambda: spare.codes == ["RISK-DAILY-LIMIT", "ALERT-CHANNEL-FAIL"])
                bench.cycle(2, risk=(TRIP,))
                await bench.until(lambda: len(spare.taken) == 3)
        waiting = await bench.kept()
        assert [str(each.alert.code) for each in waiting.waiting] == ["RISK-DAILY-LIMIT"] * 2

        server.answer = Receiver.taken
        server.requests.clear()
        spare = ScriptedChannel()
        async with channel(plugin, tmp_path, secret=TOKEN, **parameters_of(plugin, server.url)) as made:
            bench = Bench(tmp_path, {f"{plugin}:a": made, "file:b": spare}, routes=routes)
            async with bench.running():
                await bench.until(lambda: bench.outcomes(f"{plugin}:a").count("sent RISK-DAILY-LIMIT") == 2)
                await bench.until(lambda: spare.codes == ["-ALERT-CHANNEL-FAIL"])
    assert (await bench.kept()).waiting == []
    lines = [line for line in bench.audit() if line["code"] == "ALERT-CHANNEL-FAIL"]
    assert [(line["channel"], line["resolved"]) for line in lines if line["channel"] == "file:b"] == [("file:b", False), ("file:b", True)]
    assert TOKEN not in (tmp_path / "logs" / "alerts_audit.jsonl").read_text() + (tmp_path / "run" / "alerts.json").read_text()


class Unchecked(ScriptedChannel):
    """A channel whose check finds nothing: the outage is met by a send."""

    def __init__(self, made: AlertChannel) -> None:
        super().__init__()
        self._made = made

    async def send(self, alert: Alert) -> str:
        return await self._made.send(alert)
