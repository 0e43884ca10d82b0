"""The metrics port on real loopback sockets: who gets an answer, who is dropped, and what a flood costs the others."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio
import msgspec
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from dudzian_daemon.adapters import http_guard
from dudzian_daemon.adapters.http_connections import SMALLEST_CAP
from dudzian_daemon.adapters.http_guard import GuardedServer, Limits
from dudzian_daemon.adapters.loopback import bind_loopback
from dudzian_daemon.adapters.metric_families import new_registry
from dudzian_daemon.adapters.metrics_http import DEFAULT_PORT, MetricsServer
from dudzian_daemon.domain.alerts import AlertCode, alert
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.events import AdapterState, AlertChannelState, AlertDelivery, CycleDurable, SessionState, UnitState
from dudzian_daemon.domain.market import Candle, OpenPrint
from dudzian_daemon.domain.orders import Fill, Intent, OrderResult, OrderStatus, Outcome, Side, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord, PositionChange, RiskChange, StrategyFault
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.kernel.service import Readiness
from dudzian_daemon.kernel.subscription import Policy
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.testing.clock import ManualClock
from tests.integration.metrics_server import BOUND_S, running

pytestmark = pytest.mark.integration

SHORT = Limits(head_deadline_s=0.2, stop_grace_s=0.2)
PATIENT = Limits(head_deadline_s=600.0, stop_grace_s=0.2)
WELL = Readiness(ready=True)
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
BTC = "binance:BTC/USDT"
POST = "POST /kill-switch HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{more}\r\n"


def metrics_server(
    *,
    registry: CollectorRegistry | None = None,
    readiness: Readiness = WELL,
    limits: Limits = PATIENT,
    host: str = "127.0.0.1",
    port: int = 0,
) -> MetricsServer:
    return MetricsServer(
        registry or new_registry(),
        readiness=lambda: readiness,
        liveness=lambda: WELL,
        clock=ManualClock(),
        limits=limits,
        host=host,
        port=port,
    )


@asynccontextmanager
async def guarded(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], limits: Limits, *, method: str = "GET"
) -> AsyncIterator[tuple[int, list[str]]]:
    """A guarded port with one route, and the reasons of its refusals."""
    refused: list[str] = []
    server = GuardedServer([web.route(method, "/", handler)], name="test", clock=ManualClock(), limits=limits, on_refused=refused.append)
    listener = bind_loopback("127.0.0.1", 0, option="--port")
    with anyio.fail_after(BOUND_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener)
            yield listener.getsockname()[1], refused
            tasks.cancel_scope.cancel()


async def fine(_request: web.Request) -> web.Response:
    return web.Response(text="fine")


async def connect(port: int, stack: AsyncExitStack, sent: bytes = b"") -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    writer.write(sent)
    return reader


async def until_dropped(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side closed (a reset is a close)."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def answer(port: int, request: str) -> str:
    """The whole answer to a raw request; `Connection: close` is for the request to say."""
    async with AsyncExitStack() as stack:
        reader = await connect(port, stack, request.encode())
        return (await until_dropped(reader)).decode()


async def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response:
        return response.status, await response.text()


def value(text: str, name: str, **labels: str) -> float | None:
    samples = [sample for family in parse_text(text) for sample in family.samples if (sample.name, sample.labels) == (name, labels)]
    return samples[0].value if samples else None


def refusals(text: str) -> dict[str, float]:
    samples = [sample for family in parse_text(text) for sample in family.samples if sample.name == "dudzian_http_refused_total"]
    return {sample.labels["reason"]: sample.value for sample in samples}


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """What was logged so far. For every test, since a daemon has set up and used its log before it opens a port."""
    stream = io.StringIO()
    logs.configure("INFO", json=True, stream=stream)
    logs.logger("test").info("started")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()[1:]]
    logs.close()


# -- endpoints -------------------------------------------------------------------------------------------------------


async def test_a_scrape_is_prometheus_text_and_openmetrics_on_request() -> None:
    refreshed: list[None] = []
    server = metrics_server()
    server.before_scrape = lambda: refreshed.append(None)
    async with running(server) as port:
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://localhost:{port}/metrics") as plain:
                assert plain.status == 200
                assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                names = {family.name for family in parse_text(await plain.text())}
            async with client.get(f"http://localhost:{port}/metrics", headers=OPENMETRICS) as open_text:
                assert open_text.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
                text = await open_text.text()
        assert text.endswith("# EOF\n")
        assert names - {"process_open_fds"} <= {family.name for family in parse_openmetrics(text)} | names
        assert "dudzian_scrape_duration_seconds" in names
    assert len(refreshed) == 2


async def test_readiness_answers_503_with_reasons_and_liveness_does_not_care() -> None:
    state = Readiness(ready=False, reasons=("binance:BTC/USDT is 90 s old", "journal is frozen"))
    async with running(metrics_server(readiness=state)) as port:
        status, text = await get(port, "/readyz")
        assert (status, json.loads(text)) == (503, {"ready": False, "reasons": list(state.reasons)})
        assert (await get(port, "/livez"))[0] == 200
    async with running(metrics_server()) as port:
        assert (await get(port, "/readyz"))[0] == 200


async def test_index_lists_the_endpoints_and_other_paths_and_methods_are_refused() -> None:
    async with running(metrics_server()) as port:
        status, index = await get(port, "/")
        assert status == 200
        assert all(path in index for path in ("/metrics", "/livez", "/readyz"))
        assert (await get(port, "/debug"))[0] == 404
        async with aiohttp.ClientSession() as client:
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
                async with client.request(method, f"http://127.0.0.1:{port}/metrics") as response:
                    assert response.status == 405, method


async def test_head_has_the_headers_and_no_body() -> None:
    async with running(metrics_server()) as port:
        got = await answer(port, f"HEAD /metrics HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")
    head, _, body = got.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "Server: dudzian\r\n" in head
    assert "X-Content-Type-Options: nosniff" in head
    assert int(head.lower().split("content-length: ")[1].split("\r\n")[0]) > 100
    assert body == ""


async def test_a_client_that_keeps_its_connection_gets_all_its_scrapes_on_it() -> None:
    async with running(metrics_server()) as port, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
        text = ""
        for _ in range(5):
            async with client.get(f"http://127.0.0.1:{port}/metrics") as response:
                text = await response.text()
        assert value(text, "dudzian_http_connections", server="metrics_http") == 1
        assert value(text, "dudzian_scrape_duration_seconds_count") == 4


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "127.0.0.1", "127.0.0.1:{port}", "[::1]:{port}", "dudzian.lan:{port}", "tunnel:80"]
)
async def test_allowed_hosts_are_answered(host: str) -> None:
    limits = Limits(allowed_hosts=("dudzian.lan", "tunnel:80"), stop_grace_s=0.2)
    async with running(metrics_server(limits=limits)) as port:
        assert (await get(port, "/livez", Host=host.format(port=port)))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost:1", "localhost.", "localhost.evil.example", "127.0.0.1.nip.io", "", "tunnel"]
)
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/nowhere"])
async def test_other_hosts_are_sent_away_without_detail(host: str, path: str) -> None:
    limits = Limits(allowed_hosts=("tunnel:80",), stop_grace_s=0.2)
    async with running(metrics_server(limits=limits)) as port:
        got = await answer(port, f"GET {path} HTTP/1.1\r\nHost: {host.format(port=port)}\r\nConnection: close\r\n\r\n")
        assert got.startswith("HTTP/1.1 421 ")
        assert got.endswith("\r\n\r\n421: Misdirected Request")


async def test_a_foreign_target_or_origin_or_no_host_at_all_is_refused() -> None:
    async with running(metrics_server()) as port:
        target = await answer(port, "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert target.startswith("HTTP/1.1 421 ")
        assert (await answer(port, "GET /metrics HTTP/1.0\r\n\r\n")).startswith("HTTP/1.0 421 ")
        assert (await answer(port, "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")).split(" ")[1] in ("400", "421")
        for origin in ("http://evil.example", "null", f"https://localhost:{port}", f"http://localhost:{port + 1}"):
            assert (await get(port, "/livez", Origin=origin))[0] == 403, origin
        assert (await get(port, "/livez", Origin=f"http://localhost:{port}"))[0] == 200


# -- floods ----------------------------------------------------------------------------------------------------------


def test_the_deadline_and_the_cap_are_those_that_are_promised() -> None:
    assert http_guard.HEAD_DEADLINE_S == 10.0
    assert Limits() == Limits(head_deadline_s=10.0, connections=64, body_bytes=64 * 1024)
    assert DEFAULT_PORT == 9108


async def test_a_scrape_answers_while_300_silent_connections_are_open_and_they_are_dropped() -> None:
    async with running(metrics_server(limits=SHORT)) as port, AsyncExitStack() as stack:
        silent = [await connect(port, stack) for _ in range(300)]
        _status, text = await get(port, "/metrics")
        connections = value(text, "dudzian_http_connections", server="metrics_http")
        assert connections is not None
        assert 1 <= connections <= 64
        for reader in silent:
            assert await until_dropped(reader) == b""
        counted = refusals((await get(port, "/metrics"))[1])
        assert counted.get("evicted", 0) + counted["head_deadline"] == 300


async def test_who_is_over_the_cap_makes_the_oldest_give_way() -> None:
    async with running(metrics_server()) as port, AsyncExitStack() as stack:
        silent = [await connect(port, stack) for _ in range(300)]
        assert refusals((await get(port, "/metrics"))[1])["evicted"] == 300 + 1 - 64
        for reader in silent[: 300 - 64]:
            assert await until_dropped(reader) == b""


async def test_a_scrape_answers_while_the_cap_is_full_of_clients_that_never_time_out() -> None:
    async with (
        running(metrics_server(limits=Limits(head_deadline_s=600, connections=8, stop_grace_s=0.2))) as port,
        AsyncExitStack() as stack,
    ):
        half = [await connect(port, stack, b"GET /metrics HTTP/1.1\r\nHost: local") for _ in range(8)]
        assert (await get(port, "/metrics"))[0] == 200
        assert await until_dropped(half[0]) == b""  # the oldest gave way


async def test_a_client_that_was_served_keeps_its_connection_while_silent_ones_come_and_go() -> None:
    limits = Limits(head_deadline_s=600, connections=8, stop_grace_s=0.2)
    async with running(metrics_server(limits=limits)) as port, AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))
        text = ""
        for _ in range(3):
            async with client.get(f"http://127.0.0.1:{port}/metrics") as response:
                text = await response.text()
            for _ in range(20):
                await connect(port, stack)
        assert value(text, "dudzian_scrape_duration_seconds_count") == 2
        assert refusals(text)["evicted"] == 33


async def test_half_a_header_is_dropped_at_the_deadline_however_it_trickles() -> None:
    async with guarded(fine, SHORT) as (port, refused), AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        trickled = 0
        while not reader.at_eof():
            try:
                writer.write(b"X-More: yes\r\n")
                with anyio.move_on_after(0.02):
                    assert await reader.read(1) == b""
            except ConnectionError:
                break
            trickled += 1
        assert trickled > 1
        assert refused == ["head_deadline"]


async def test_an_idle_keep_alive_connection_is_closed_and_nobody_is_blamed() -> None:
    async with guarded(fine, SHORT) as (port, refused):
        got = await answer(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert got.endswith("fine")
        assert refused == []


async def test_a_slow_answer_outlives_the_deadline_and_a_full_house_refuses_the_next() -> None:
    release, arrived = anyio.Event(), asyncio.Semaphore(0)

    async def slow(_request: web.Request) -> web.Response:
        arrived.release()
        await release.wait()
        return web.Response(text="late")

    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    limits = Limits(head_deadline_s=0.1, connections=2, stop_grace_s=0.2)
    async with guarded(slow, limits) as (port, refused), AsyncExitStack() as stack:
        busy = [await connect(port, stack, request) for _ in range(2)]
        for _ in busy:
            await arrived.acquire()
        assert await until_dropped(await connect(port, stack, request)) == b""
        assert refused == ["too_many_connections"]
        with anyio.move_on_after(3 * limits.head_deadline_s):  # nothing comes, and nothing is dropped either
            await busy[0].read(1)
            pytest.fail("the answer came, or the connection went, before the handler was done")
        release.set()
        for reader in busy:
            assert (await reader.read()).endswith(b"late")


async def test_a_client_that_does_not_read_its_answer_is_dropped() -> None:
    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 20_000_000)

    async with guarded(large, SHORT) as (port, _refused), AsyncExitStack() as stack:
        client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.setblocking(False)
        for _ in range(2):  # silent ones that come later and are dropped: then the first one's time is up as well
            assert await until_dropped(await connect(port, stack)) == b""
        loop, received = asyncio.get_running_loop(), 0
        try:
            while chunk := await loop.sock_recv(client, 1_000_000):
                received += len(chunk)
        except ConnectionError:
            pass
        assert received < 20_000_000


async def test_bodies_are_small_and_come_in_time() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())} bytes")

    limits = Limits(head_deadline_s=0.2, body_bytes=1000, stop_grace_s=0.2)
    async with guarded(echo, limits, method="POST") as (port, refused):
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        assert (await answer(port, f"{head}Content-Length: 1000\r\n\r\n{'x' * 1000}")).endswith("1000 bytes")
        assert (await answer(port, f"{head}Content-Length: 1001\r\n\r\n{'x' * 1001}")).split(" ")[1] == "413"
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
        assert (await answer(port, chunked + f"800\r\n{'x' * 0x800}\r\n")).split(" ")[1] == "413"
        assert (await answer(port, chunked + "5\r\nhello\r\n")).split(" ")[1] == "408"
        assert (await answer(port, chunked + "zz\r\n")).split(" ")[1] == "400"
        assert refused == ["large_body", "large_body", "slow_body", "bad_request"]


async def test_garbage_is_answered_400_and_makes_one_log_line_without_traceback(log_lines: Callable[[], list[dict[str, object]]]) -> None:
    async with guarded(fine, PATIENT) as (port, refused):
        for garbage in ("\x16\x03\x01\r\n\r\n", "NONSENSE\r\n\r\n", f"GET / HTTP/1.1\r\nX: {'a' * 20_000}\r\n\r\n") * 20:
            assert (await answer(port, garbage)).split(" ")[1] == "400"
        assert refused == ["bad_request"] * 60
    lines = log_lines()
    assert [line["event"] for line in lines] == ["http_refused", "http_refused"]  # the first, and the rest at the stop
    assert [line["bad_request"] for line in lines] == [1, 59]
    assert "Traceback" not in json.dumps(lines)


async def test_a_fault_of_a_handler_is_a_500_with_its_traceback_in_the_log_once(
    log_lines: Callable[[], list[dict[str, object]]],
) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise LookupError("no such book")

    async with guarded(broken, PATIENT) as (port, refused):
        for _ in range(10):
            got = await answer(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert got.startswith("HTTP/1.1 500 ")
            assert "no such book" not in got
        assert refused == ["handler_failed"] * 10
    faults = [line for line in log_lines() if line["event"] == "http_handler_failed"]
    assert len(faults) == 1
    assert "LookupError: no such book" in json.dumps(faults)


async def test_without_descriptors_the_port_neither_spins_nor_floods_the_log_and_still_answers(
    log_lines: Callable[[], list[dict[str, object]]],
) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit of descriptors that a test could lower")
    refused: list[str] = []
    server = GuardedServer([web.get("/", fine)], name="test", clock=SystemClock(), limits=PATIENT, on_refused=refused.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with anyio.fail_after(BOUND_S):
        async with AsyncExitStack() as stack:
            listener = bind_loopback("127.0.0.1", 0, option="--port")
            port = listener.getsockname()[1]
            for _ in range(120):  # the kernel holds them until the server accepts
                stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            client.setblocking(False)
            lowest_free = os.dup(0)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 10, hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(server.serve, listener)
            got = await asyncio.get_running_loop().sock_recv(client, 100)
            assert got.startswith(b"HTTP/1.1 200 ")
            assert SMALLEST_CAP <= server.open_connections <= 5
            tasks.cancel_scope.cancel()
    assert 1 <= refused.count("accept_failed_EMFILE") <= 3
    assert len(log_lines()) == 2


# -- life of the service ---------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_one_clear_line() -> None:
    async with running(metrics_server()) as port:
        second = metrics_server(port=port)
        with pytest.raises(ConfigError, match=rf"^port {port} on 127\.0\.0\.1 is in use: use --metrics-port 0 ") as caught:
            second.bind()
        assert "\n" not in str(caught.value)
        with pytest.raises(ConfigError, match="is in use"):
            await second.run()
        assert (await get(port, "/livez"))[0] == 200


async def test_two_servers_on_free_ports_answer_both() -> None:
    async with running(metrics_server()) as one, running(metrics_server()) as other:
        assert one != other
        assert (await get(one, "/livez"))[0] == (await get(other, "/livez"))[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "127.0.0.1.evil.example"])
def test_only_loopback_is_bound(host: str) -> None:
    with pytest.raises(ConfigError, match="is not loopback"):
        metrics_server(host=host).bind()


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("localhost", socket.AF_INET), ("127.0.0.2", socket.AF_INET)])
def test_loopback_names_are_bound(host: str, family: int) -> None:
    with closing(bind_loopback(host, 0, option="--metrics-port")) as listener:
        assert listener.family == family
        assert listener.getsockname()[1] > 0


def test_a_number_that_is_no_port_is_refused() -> None:
    for port in (-1, 65_536):
        with pytest.raises(ConfigError, match=rf"port {port} does not exist"):
            bind_loopback("127.0.0.1", port, option="--metrics-port")


async def test_bind_says_the_port_that_run_then_serves() -> None:
    server = metrics_server()
    port = server.bind()
    async with running(server) as served:
        assert served == port == server.port


async def test_a_stop_frees_the_port_and_a_restart_takes_the_same_again() -> None:
    server = metrics_server()
    async with running(server) as first, AsyncExitStack() as stack:
        silent = await connect(first, stack)
        assert (await get(first, "/livez"))[0] == 200
        await server.stop()
        assert await until_dropped(silent) == b""
    async with running(server) as second:
        assert second == first
        assert (await get(second, "/livez"))[0] == 200


async def test_a_stop_lets_the_answer_in_progress_end() -> None:
    release, arrived = anyio.Event(), anyio.Event()

    async def slow(_request: web.Request) -> web.Response:
        arrived.set()
        await release.wait()
        return web.Response(text="finished")

    server = GuardedServer([web.get("/", slow)], name="test", clock=ManualClock(), limits=Limits(stop_grace_s=BOUND_S))
    listener = bind_loopback("127.0.0.1", 0, option="--port")
    with anyio.fail_after(BOUND_S):
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener)
            reader = await connect(listener.getsockname()[1], stack, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await arrived.wait()
            tasks.cancel_scope.cancel()
            release.set()
            with anyio.CancelScope(shield=True):
                assert (await reader.read()).endswith(b"finished")


# -- the whole way ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
async def test_promtool_accepts_a_scrape_of_all_families() -> None:
    registry, bus = new_registry(), Bus()
    subscription = bus.subscribe_queued(TOPICS, name="metrics", size=10, policy=Policy.DROP_OLDEST)
    sink = MetricsSink(registry, subscription, bus, ManualClock(), profiles=["balanced"])
    populate(sink)
    server = metrics_server(registry=registry)
    server.before_scrape = sink.refresh
    async with running(server) as port:
        await get(port, "/metrics", Host="evil.example")
        _status, text = await get(port, "/metrics")
    empty = [family.name for family in parse_text(text) if not family.samples]
    assert empty == []
    checked = await anyio.run_process(["promtool", "check", "metrics"], input=text.encode(), check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_every_family_of_the_port_is_documented_with_its_type_and_labels() -> None:
    document = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    async with running(metrics_server()) as port:
        await get(port, "/metrics", Host="evil.example")
        _status, text = await get(port, "/metrics")
    for family in parse_text(text):
        if family.name.startswith("dudzian_"):
            labels = ", ".join(dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le"))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert f"| `{name}` | {family.type} | {labels}{' ' if labels else ''}|" in document


def populate(sink: MetricsSink) -> None:
    one, none = Decimal(1), Decimal(0)
    accepted = OrderResult(
        order_id="t.0", signal_id="t", strategy="trend", instrument=BTC, side=Side.BUY, status=OrderStatus.ACCEPTED, quantity=one
    )
    record = CycleRecord(
        sequence=1,
        instant=10**9,
        phase=4,
        due=("daily",),
        inputs=(OpenPrint(10**9, BTC, "1d", 100.0),),
        signals=(Signal(instrument=BTC, intent=Intent.ENTER, reason="breakout", id="t", strategy="trend"),),
        verdicts=(
            Verdict(
                group_id="t",
                signal_id="t",
                profile="balanced",
                outcome=Outcome.APPROVED,
                code=None,
                rule="cash",
                limit=None,
                value=None,
                headroom=None,
                requested=one,
                approved=one,
            ),
        ),
        results=(accepted, msgspec.structs.replace(accepted, status=OrderStatus.REJECTED, code="insufficient_cash")),
        fills=(
            Fill(
                id="t.0#1",
                order_id="t.0",
                signal_id="t",
                strategy="trend",
                schedule="daily",
                instrument=BTC,
                side=Side.BUY,
                quantity=one,
                reference_price=one,
                slippage=none,
                price=one,
                fee=none,
                fee_asset="USDT",
                filled_at=10**9,
                fill_source="open_print",
                inside_bar=False,
                preset="candle_default",
            ),
        ),
        positions=(PositionChange(strategy="trend", instrument=BTC, quantity=one, cost=one, realised=none),),
        risk=(RiskChange(profile="balanced", change="tripped", state="reducing", rule="hard_drawdown_pct", limit=one, value=one),),
        faults=(StrategyFault(strategy="trend", unit="trend/0", where="decide", error="ValueError"),),
        cash=one,
        equity=one,
    )
    closed = Candle(2 * 10**9, BTC, "1d", 2 * 10**9, 1.0, 1.0, 1.0, 1.0, 1.0)
    candles = CycleRecord(sequence=2, instant=2 * 10**9, phase=2, due=(), inputs=(closed,), cash=one, equity=one)
    sink.handle(SessionState(state="running", log_id="log", instant=0))
    sink.handle(UnitState(name="feed", state="running"))
    sink.handle(CycleDurable(record=record, log_id="log", line=1, line_hash="", duration_s=0.001))
    sink.handle(CycleDurable(record=candles, log_id="log", line=2, line_hash="", duration_s=0.001))
    sink.observe_commit(0.004)
    sink.refresh()
    sent = alert(AlertCode.TEST, "a test")
    for message in (
        AdapterState(adapter="binance", reachable=False, error="Retryable"),
        sent,
        *(AlertDelivery(channel="file:local", outcome=outcome, alert=sent) for outcome in ("sent", "failed", "suppressed")),
        AlertChannelState(channel="file:local", status="error", checked=True),
    ):
        sink.handle(message)


# -- the kill switch ---------------------------------------------------------------------------------------------------


async def test_without_a_kill_switch_there_is_no_such_page() -> None:
    async with running(metrics_server()) as port:
        assert (await answer(port, POST.format(port=port, more=""))).startswith("HTTP/1.1 404 ")
        assert (await get(port, "/kill-switch"))[0] == 405


@pytest.mark.parametrize(
    ("more", "status", "sent"),
    [
        ("Authorization: Bearer abc\r\n", 200, ["abc"]),
        ("authorization: bearer  abc \r\n", 200, ["abc"]),
        ("", 401, [""]),
        ("Authorization: Basic abc\r\n", 401, [""]),
        ("Authorization: Bearer abc\r\nAuthorization: Bearer abc\r\n", 401, [""]),
        ("Authorization: Bearer abc\r\nContent-Length: 2\r\n", 400, []),
        ("Authorization: Bearer abc\r\nOrigin: http://evil.example\r\n", 403, []),
    ],
)
async def test_the_kill_switch_is_pressed_with_one_bearer_token_and_no_body(more: str, status: int, sent: list[str]) -> None:
    pressed: list[str] = []

    async def press(token: str) -> tuple[HTTPStatus, dict[str, object]]:
        pressed.append(token)
        return (HTTPStatus.OK if token == "abc" else HTTPStatus.UNAUTHORIZED), {"accepted": token == "abc"}

    registry = new_registry()
    server = metrics_server(registry=registry)
    server.press = press
    async with running(server) as port:
        said = await answer(port, POST.format(port=port, more=more) + ("{}" if "Length" in more else ""))
        assert said.startswith(f"HTTP/1.1 {status} ")
        assert ("WWW-Authenticate: Bearer" in said) == (status == 401)
        assert pressed == sent
        assert refusals((await get(port, "/metrics"))[1]).get("token", 0) == (status == 401)
