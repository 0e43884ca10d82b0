"""The metrics port over TLS on real loopback sockets: who is answered, who is not, and what a silent handshake costs the others."""

from __future__ import annotations

import io
import json
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dudzian_daemon.adapters.http_guard import Limits
from dudzian_daemon.adapters.loopback import bind_loopback
from dudzian_daemon.adapters.metric_families import new_registry
from dudzian_daemon.adapters.metrics_http import MetricsServer
from dudzian_daemon.adapters.tls_files import TlsFileError, TlsFiles, require_usable, server_context
from dudzian_daemon.app.process.metrics_port import MetricsPort
from dudzian_daemon.config.runtime import MetricsService, MetricsTls
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.kernel.service import Readiness
from dudzian_daemon.testing.clock import ManualClock
from tests.integration.daemon_process import daemon, dudzian, write_config
from tests.integration.metrics_server import running

pytestmark = pytest.mark.integration

NOW_NS = SystemClock().wall_ns()
NOW = datetime.fromtimestamp(NOW_NS // 10**9, UTC)
WELL = Readiness(ready=True)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """What was logged so far. For every test, since a daemon has set up and used its log before it opens a port."""
    stream = io.StringIO()
    logs.configure("INFO", json=True, stream=stream)
    logs.logger("test").info("started")
    yield stream
    logs.close()


class Pair:
    """A key and its certificate for localhost, signed by `signer` or by itself, as PEM files of the folder."""

    def __init__(self, folder: Path, name: str, signer: Pair | None = None, *, begins: int = -1, ends: int = 90) -> None:
        """`begins` and `ends` in days from now."""
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = signer or self
        alternative = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + timedelta(days=begins))
            .not_valid_after(NOW + timedelta(days=ends))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .add_extension(alternative, critical=False)
        )
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.certificate.write_bytes(builder.sign(issuer.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        self.key.chmod(0o600)

    def files(self, client_ca: Path | None = None) -> TlsFiles:
        return TlsFiles(certificate=self.certificate, key=self.key, client_ca=client_ca)

    def config(self, client_ca: Path | None = None) -> str:
        """The section of core.yaml."""
        more = "" if client_ca is None else f", client_ca: {client_ca}"
        return f"tls: {{certificate: {self.certificate}, key: {self.key}{more}}}, "


def client(trusted: Pair, own: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


@asynccontextmanager
async def serving(files: TlsFiles, *, head_deadline_s: float = 600.0, connections: int = 64) -> AsyncIterator[int]:
    tls = await anyio.to_thread.run_sync(server_context, files, NOW_NS)
    limits = Limits(head_deadline_s=head_deadline_s, connections=connections, stop_grace_s=0.2, tls=tls)
    server = MetricsServer(new_registry(), readiness=lambda: WELL, liveness=lambda: WELL, clock=ManualClock(), limits=limits, port=0)
    async with running(server) as port:
        yield port


async def scraped(port: int, context: ssl.SSLContext, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}{path}", ssl=context, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


def refused(text: str) -> dict[str, float]:
    lines = (line for line in text.splitlines() if line.startswith("dudzian_http_refused_total{"))
    return {line.partition('reason="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_who_trusts_the_certificate_is_answered_and_who_does_not_or_speaks_plain_is_not(tmp_path: Path) -> None:
    pair, other = Pair(tmp_path, "server"), Pair(tmp_path, "other")
    async with serving(pair.files()) as port:
        status, text = await scraped(port, client(pair))
        assert (status, "dudzian_http_connections" in text) == (200, True)
        assert (await scraped(port, client(pair), "/livez", Origin=f"https://127.0.0.1:{port}"))[0] == 200
        assert (await scraped(port, client(pair), "/livez", Origin=f"http://127.0.0.1:{port}"))[0] == 403
        assert (await scraped(port, client(pair), "/livez", Host="evil.example"))[0] == 421
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await scraped(port, client(other))
        async with await anyio.connect_tcp("127.0.0.1", port) as plain:
            await plain.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while b"dudzian" not in await plain.receive():
                    pass
        _status, text = await scraped(port, client(pair))
        assert refused(text)["tls_handshake"] == 2


async def test_with_a_client_ca_only_its_certificates_are_answered(tmp_path: Path) -> None:
    server, ca = Pair(tmp_path, "server"), Pair(tmp_path, "ca")
    friend, stranger = Pair(tmp_path, "friend", ca), Pair(tmp_path, "stranger")
    async with serving(server.files(ca.certificate)) as port:
        for unproven in (client(server), client(server, stranger)):
            with pytest.raises(aiohttp.ClientError):
                await scraped(port, unproven)
        status, text = await scraped(port, client(server, friend))
        assert (status, refused(text)["tls_handshake"] >= 2) == (200, True)  # a client that is cut off asks again by itself


async def test_silent_handshakes_meet_the_deadline_and_keep_nobody_out(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server")
    async with serving(pair.files(), head_deadline_s=0.2) as port, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(100)]
        assert (await scraped(port, client(pair)))[0] == 200
        for each in silent:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await each.receive()
        counted = refused((await scraped(port, client(pair)))[1])
        assert counted.get("evicted", 0) + counted["head_deadline"] == 100  # which of them first is the machine's matter
        assert "tls_handshake" not in counted


async def test_a_full_cap_of_silent_handshakes_gives_way(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server")
    async with serving(pair.files(), connections=8) as port, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(8)]
        assert (await scraped(port, client(pair)))[0] == 200
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await silent[0].receive()


def missing(pair: Pair, _other: Pair) -> TlsFiles:
    pair.key.unlink()
    return pair.files()


def mismatched(pair: Pair, other: Pair) -> TlsFiles:
    return TlsFiles(certificate=pair.certificate, key=other.key)


def loose(pair: Pair, _other: Pair) -> TlsFiles:
    pair.key.chmod(0o640)
    return pair.files()


def linked(pair: Pair, other: Pair) -> TlsFiles:
    pair.key.unlink()
    pair.key.symlink_to(other.key)
    return pair.files()


def rubbish(pair: Pair, _other: Pair) -> TlsFiles:
    pair.certificate.write_text("not a certificate")
    return pair.files()


def no_key(pair: Pair, _other: Pair) -> TlsFiles:
    pair.key.write_bytes(pair.certificate.read_bytes())
    return pair.files()


def locked(pair: Pair, _other: Pair) -> TlsFiles:
    secret = serialization.BestAvailableEncryption(b"passphrase")
    pair.key.write_bytes(pair.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    return pair.files()


def foreign_ca(pair: Pair, other: Pair) -> TlsFiles:
    other.certificate.write_text("no CA")
    return pair.files(other.certificate)


@pytest.mark.parametrize(
    ("spoil", "role", "said"),
    [
        (missing, "key", "expected a file"),
        (mismatched, "key", "found another one"),
        (loose, "key", "found mode 0640: chmod 600"),
        (linked, "key", "found a symlink"),
        (rubbish, "certificate", "expected a certificate in PEM"),
        (no_key, "key", "expected a private key in PEM"),
        (locked, "key", "without a passphrase"),
        (foreign_ca, "client_ca", "expected a certificate in PEM"),
    ],
)
def test_files_that_cannot_be_used_are_told_by_name(tmp_path: Path, spoil: Callable[[Pair, Pair], TlsFiles], role: str, said: str) -> None:
    files = spoil(Pair(tmp_path, "server"), Pair(tmp_path, "other"))
    with pytest.raises(TlsFileError) as error:
        require_usable(files, NOW_NS)
    assert (error.value.role, said in str(error.value), "\n" in str(error.value)) == (role, True, False)


def test_a_certificate_is_good_between_its_days_only(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server", ends=10)
    assert require_usable(pair.files(), NOW_NS).days_left(NOW_NS) == 9
    for moment, said in ((NOW_NS + 11 * DAY_NS, "that ended on"), (NOW_NS - 2 * DAY_NS, "that begins on")):
        with pytest.raises(TlsFileError, match=said):
            require_usable(pair.files(), moment)


def configured(home: Path, section: str) -> Path:
    return write_config(home, tls=("metrics_service: {", f"metrics_service: {{{section}"))


def test_a_daemon_with_mtls_tells_its_address_and_answers_curl_with_a_certificate(tmp_path: Path) -> None:
    server, ca = Pair(tmp_path, "server"), Pair(tmp_path, "ca")
    friend = Pair(tmp_path, "friend", ca)
    with daemon(tmp_path, "--config", configured(tmp_path, server.config(ca.certificate)), "--speed", 864_000, "--no-ui") as child:
        child.err.wait_for('"state":"running"')
        port = int((tmp_path / "data" / "run" / "metrics.port").read_text())
        url = f"https://127.0.0.1:{port}/metrics"
        assert json.loads(dudzian(tmp_path, "status", "--json", "--data-dir", tmp_path / "data").out)["metrics_url"] == url
        trusting = ["curl", "-sS", "--cacert", str(server.certificate), url]
        shown = ["--cert", str(friend.certificate), "--key", str(friend.key)]
        answered = subprocess.run([*trusting, *shown], capture_output=True, text=True, timeout=30, check=False)
        assert (answered.returncode, "dudzian_cycles_total" in answered.stdout) == (0, True), answered.stderr
        turned_away = subprocess.run(trusting, capture_output=True, text=True, timeout=30, check=False)
        assert (turned_away.returncode != 0, turned_away.stdout) == (True, "")
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, f"metrics on {url}" in ended.out) == (0, True)


def test_what_is_wrong_with_a_file_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server", ends=-1, begins=-3)
    config = configured(tmp_path, pair.config())
    told = dudzian(tmp_path, "validate-config", "--config", config)
    (line, count) = told.out.splitlines()
    assert (told.code, count) == (2, "invalid: 1 problem")
    assert line.startswith(f"{config}:") and "runtime.metrics_service.tls.certificate: " in line and "that ended on" in line
    started = dudzian(tmp_path, "run", "--config", config, "--data-dir", tmp_path / "data")
    assert (started.code, started.err) == (2, f"dudzian: {line}\n")
    assert not (tmp_path / "data").exists()
    checked = json.loads(dudzian(tmp_path, "paper-precheck", "--config", config, "--data-dir", tmp_path / "data", "--json").out)
    assert checked["config"]["errors"] == [line]


def test_a_certificate_that_ends_soon_is_a_warning_and_the_plan_tells_the_files(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "server", ends=10)
    config = configured(tmp_path, pair.config())
    assert "server.pem ends in 9 days" in dudzian(tmp_path, "validate-config", "--config", config).out
    pair.certificate.chmod(0o666)
    plan = json.loads(
        dudzian(tmp_path, "run-daily-trend", "-e", "demo", "--config", config, "--print-runtime-plan", "--data-dir", tmp_path).out
    )
    tls = plan["metrics_service_details"]["tls"]
    assert (tls["enabled"], tls["client_auth"], tls["client_ca"]) == (True, False, None)
    assert (tls["subject"], tls["days_left"], tls["names"]) == ("CN=server", 9, ["localhost", "127.0.0.1"])
    assert (tls["certificate"]["sha256"], tls["certificate"]["security_flags"]) == (
        sha256(pair.certificate.read_bytes()).hexdigest(),
        ["writable_by_others"],
    )
    assert (tls["key"]["sha256"], tls["key"]["permissions"], tls["key"]["security_flags"]) == ("", "0600", [])
    assert any(str(pair.certificate) in warning for warning in plan["security_warnings"])
    assert plan["metrics_service_details"]["runtime_state"]["address"] == "https://127.0.0.1:9108/metrics"


def test_an_address_that_others_reach_wants_a_client_ca(tmp_path: Path) -> None:
    server = Pair(tmp_path, "server")
    with pytest.raises(ConfigError, match="clients need no certificate"):
        bind_loopback("0.0.0.0", 0, option="--metrics-port")
    with closing(bind_loopback("0.0.0.0", 0, option="--metrics-port", proven=True)) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
    settings = MetricsService(host="192.0.2.1", tls=MetricsTls(certificate=str(server.certificate), key=str(server.key)))
    with pytest.raises(ConfigError, match="clients need no certificate"):
        MetricsPort(settings, lambda *_: pytest.fail("no server"))
