"""A fresh checkout in a folder of its own, filled in as an operator would, and a shell in which a document's blocks are typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations

from tests.docs.stand_ins import TOKEN, StandIns
from tests.integration.daemon_process import Lines

ROOT = Path(__file__).parents[2]
PARTS = ("config", "dudzian_daemon", "plugins", "tests", "pyproject.toml", "README.md")
TAGS = ("run", "background-until-ready", "windows", "manual")
#: Longest that one block may take, seconds; a hung command is a failure, not a stuck CI.
PATIENCE_S = 300.0
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: Ends each command that would leave this machine, and leaves a line that says so.
_OFFLINE = """
import os, sys
def _watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        with open({path!r}, "a") as log:
            log.write(f"{{args[1]}} {{sys.argv}}\\n")
        raise OSError("this test is offline")
sys.addaudithook(_watch)
"""


class Block(NamedTuple):
    """A fenced block: the words of its info string, and what is in it."""

    words: tuple[str, ...]
    text: str
    line: int

    @property
    def exit_code(self) -> int:
        """The code it is stated to end with."""
        return next((int(word.removeprefix("exit=")) for word in self.words if word.startswith("exit=")), 0)


def blocks_of(document: Path) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [Block(tuple(found["info"].split()), found["text"], text.count("\n", 0, found.start()) + 1) for found in _FENCE.finditer(text)]


class Checkout:
    """The folder, its operator's shell, and the daemon that was left running."""

    def __init__(self, folder: Path, stand_ins: StandIns, port: int) -> None:
        self.folder = folder / "dudzian"
        self._stand_ins = stand_ins
        self._home = folder / "home"
        self._connections = folder / "connections"
        self._fill(port)
        self._daemon: subprocess.Popen[str] | None = None
        self.daemon_log: Lines | None = None

    def type(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a block; whatever it asks for on stdin is answered with a made-up secret."""
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", block.text],
            cwd=self.folder,
            env=self._env,
            input="stand-in-of-a-secret-key",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, block: Block) -> None:
        """Leave a block running; it is ready once its daemon says that the session runs. Then the venue's day ends."""
        self._stand_ins.clock.hold()
        command = f"exec {block.text.strip()}"
        self._daemon = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.daemon_log = Lines(self._daemon.stderr)
        try:
            self.daemon_log.wait_for('"state":"running"')
        except EOFError:
            raise AssertionError(self.daemon_log.rest()) from None
        self._stand_ins.a_candle_is_due()

    def end(self) -> int | None:
        """The exit code of what was left running; it is killed if a document forgot it. None where nothing was started."""
        if self._daemon is None:
            return None
        try:
            return self._daemon.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            return self._daemon.wait()

    def connections(self) -> str:
        """What any command tried to reach beyond this machine."""
        return self._connections.read_text() if self._connections.exists() else ""

    def strangers(self) -> list[str]:
        """Files that git would take up tomorrow, when the checkout is to be clean again."""
        listing = ["git", "ls-files", "--others", "--modified", "--exclude-standard"]
        return subprocess.run(listing, cwd=self.folder, env=self._env, capture_output=True, text=True, check=True).stdout.split()

    def _fill(self, port: int) -> None:
        """What the document leaves to the operator: a checkout, channels, mail, recipients, a place for secrets."""
        self.folder.mkdir(parents=True)
        self._home.mkdir()
        for part in PARTS:
            source, ignored = ROOT / part, shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, self.folder / part, ignore=ignored)
            else:
                shutil.copy(source, self.folder / part)
        (self.folder / "sitecustomize.py").write_text(_OFFLINE.format(path=str(self._connections)))
        self._edit(
            "config/core.yaml", "alert_channels: [file:local]  #", "alert_channels: [telegram:primary, email:ops, sms:orange_local]  #"
        )
        exchange = f"    adapter_settings: {{base_url: {self._stand_ins.exchange.url}}}\n"
        self._edit("config/core.yaml", "    credential_purpose: trading\n", "    credential_purpose: trading\n" + exchange)
        self._edit("config/core.yaml", "port: 9108", f"port: {port}")
        place = f"host: 127.0.0.1, port: {self._stand_ins.smtp_port}, security: none"
        mail = f"{{{place}, sender: dudzian@localhost, recipients: [desk@localhost]}}"
        with (self.folder / "config/core.yaml").open("a") as config:
            config.write(f"\nreporting:\n  mail: {mail}\n")
        url = self._stand_ins.http_url
        self._edit("config/alerts.yaml", '{chat_id: "0"}', f'{{chat_id: "0", api_url: "{url}"}}')
        self._edit("config/alerts.yaml", "host: localhost, port: 587", f"host: 127.0.0.1, port: {self._stand_ins.smtp_port}")
        self._edit("config/alerts.yaml", "security: starttls", "security: none")
        self._edit("config/alerts.yaml", "preset: orange,", f'url: "{url}/sms",')
        identity = pyrage.x25519.Identity.generate()
        (self.folder / "recipients.txt").write_text(f"{identity.to_public()}\n")
        kept = ("PATH", "LANG", "TZ", "PYTHON_KEYRING_BACKEND", "TMPDIR", "SYSTEMROOT")
        self._env = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(self._home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder),
            "DUDZIAN_HEADLESS_STORAGE": str(self._home / "secrets.age"),
            "DUDZIAN_HEADLESS_PASSPHRASE": str(identity),
            "DUDZIAN_TELEGRAM_CREDENTIAL": TOKEN,
            "DUDZIAN_EMAIL_CREDENTIAL": "stand-in-of-a-password",
            "DUDZIAN_SMS_CREDENTIAL": "stand-in-of-a-token",
            "DUDZIAN__RUNTIME__METRICS_SERVICE__PORT": str(port),
        }
        shutil.copy(ROOT / ".gitignore", self.folder)
        for arguments in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=o", "-c", "user.email=o@localhost", "commit", "-qm", "as shipped"],
        ):
            subprocess.run(["git", *arguments], cwd=self.folder, env=self._env, check=True)

    def _edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")
