"""The verdicts of both verifiers on what lies at a path, as exit codes: ours, and that of the standalone one."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from dudzian_daemon.adapters.head_checks import missing_logs, proven_heads
from dudzian_daemon.adapters.heads import read_heads
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.cli.commands.verify_decision_log import worst_verdict
from dudzian_daemon.domain.errors import ConfigError
from tests.scenario.tampering import KEYS

SCRIPT = Path(__file__).parents[2] / "docs" / "reference" / "verify_standalone.py"


def loaded() -> Any:
    """The standalone verifier as a module."""
    spec = spec_from_file_location("verify_standalone", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STANDALONE = loaded()


def key(key_id: str) -> SigningKey | None:
    """A key of the ring."""
    return SigningKey(id=key_id, secret=KEYS[key_id], source="test") if key_id in KEYS else None


def ours(path: Path, heads: Path | None = None, allow_unsigned: bool = False) -> int:
    """Exit code of `dudzian verify-decision-log PATH [--head HEADS]`."""
    try:
        proven, reports = ((), list[LogReport]()) if heads is None else proven_heads(heads, read_heads(heads), key, None)
        judged = [verify_log(source, Terms(key=key, allow_unsigned=allow_unsigned, heads=proven)) for source in find_logs(path)]
    except ConfigError:
        return 2
    reports += judged if heads is None else judged + missing_logs(heads, proven, judged)
    return int(worst_verdict(reports)[1])


def theirs(path: Path, heads: Path | None = None, allow_unsigned: bool = False) -> int:
    """Exit code of `verify_standalone.py PATH [--head HEADS]`."""
    return int(STANDALONE.verify(path, KEYS, allow_unsigned=allow_unsigned, heads=heads)[0])
