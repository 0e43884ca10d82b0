"""Loopback stand-ins for what an operator's day talks to: Telegram, SMTP, an SMS operator, and an exchange whose clock can be held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, Envelope, Session
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dudzian_daemon.domain.market import DAY_NS, SECOND_NS
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.testing.exchange import LoopbackExchange
from dudzian_daemon.testing.exchange_market import MARKETS, Market
from tests.integration.loopback_ports import MailServer

TOKEN = "1234567:stand-in-of-a-bot"
#: POL is listed as MATIC goes; the venue knows the candles of both.
POL = Market(base="POL", price=7.0, listed_ms=1_725_926_400_000)
_BEFORE_MIDNIGHT_NS = 2 * SECOND_NS


class VenueClock(SystemClock):
    """Goes with this machine's until it is held shortly before the next midnight (UTC); released, it is just past that midnight."""

    def __init__(self) -> None:
        self._held = 0
        self._ahead = 0

    def wall_ns(self) -> int:
        """Unix time, ns."""
        return self._held or super().wall_ns() + self._ahead

    def hold(self) -> None:
        """Stand still before midnight: a daemon that starts now learns this time."""
        self._held = (self.wall_ns() // DAY_NS + 1) * DAY_NS - _BEFORE_MIDNIGHT_NS

    def release(self) -> None:
        """Go on, a second after midnight."""
        midnight = self._held + _BEFORE_MIDNIGHT_NS
        self._ahead = midnight + SECOND_NS - super().wall_ns()
        self._held = 0


class Inbox:
    """Keeps the mails of a day."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 the name is aiosmtpd's
        """Take it."""
        self.mails.append(envelope.content if isinstance(envelope.content, bytes) else b"")
        return "250 taken"


class StandIns:
    """The running stand-ins: where they are, and what they were sent."""

    def __init__(self, portal: BlockingPortal, exchange: LoopbackExchange, clock: VenueClock) -> None:
        self.portal = portal
        self.exchange = exchange
        self.clock = clock
        self.inbox = Inbox()
        self.telegram: list[str] = []
        self.sms: list[str] = []
        self.http_url = ""
        self.smtp_port = 0

    async def start_http(self) -> TestServer:
        """Telegram's and the SMS operator's interfaces, on one server."""
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._bot)
        app.router.add_post("/sms", self._text)
        server = TestServer(app)
        await server.start_server()
        self.http_url = str(server.make_url("")).rstrip("/")
        return server

    def a_candle_is_due(self) -> None:
        """Let midnight pass, and wait until the daily candles were asked for after it."""
        asked = len(self.exchange.asked("klines"))
        self.portal.call(self._release)
        self.portal.call(self.exchange.until_asked, "klines", asked + 2)

    async def _release(self) -> None:
        self.clock.release()

    async def _bot(self, request: web.Request) -> web.Response:
        assert request.match_info["token"] == TOKEN
        if request.match_info["method"] == "sendMessage":
            self.telegram.append(await request.text())
        return web.json_response({"ok": True, "result": {"message_id": len(self.telegram), "username": "bot"}})

    async def _text(self, request: web.Request) -> web.Response:
        self.sms.append(await request.text())
        return web.json_response({"id": len(self.sms)})


@contextmanager
def stand_ins() -> Iterator[StandIns]:
    """All of them, for a session of tests."""
    clock = VenueClock()
    markets = [*(market for market in MARKETS if market.base != POL.base), POL]
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(LoopbackExchange(clock, markets=markets)) as exchange:
        found = StandIns(portal, exchange, clock)
        server = portal.call(found.start_http)
        mail = MailServer(found.inbox)
        mail.start()
        found.smtp_port = mail.port
        try:
            yield found
        finally:
            mail.stop()
            portal.call(server.close)
