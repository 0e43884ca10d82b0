"""Which secrets an environment uses, under which labels, and whether they are there; their values never leave this module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.keychain import find_signing_key
from dudzian_daemon.adapters.secret_store import SecretStore
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError

Kind = Literal["exchange_credential", "signing_key", "access_token"]
State = Literal["found", "placeholder", "missing", "unusable"]

#: What stands where nobody has a real secret yet.
_PLACEHOLDER: Final = re.compile(
    r"\s*(<.*>|\$\{.*\}|\{\{.*\}\}|(your|my|dummy|fake|test|example|sample|placeholder|change.?me|replace.?me|x{3,}|\*+|none|null|n/?a)\b.*)",
    re.I | re.S,
)


class ExpectedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret by its label in the keychain. `variable` is an environment variable that goes before the keychain."""

    label: str
    kind: Kind
    purpose: str
    variable: str = ""


class SecretState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a secret is there and where; never its value."""

    label: str
    kind: Kind
    purpose: str
    state: State
    source: str
    remedy: str


def expected_secrets(config: CoreConfig, environment: str) -> list[ExpectedSecret]:
    """Everything the environment can use, each label once."""
    chosen = config.environment(environment)
    found = []
    if chosen.keychain_key is not None:
        purpose = chosen.credential_purpose or "trading"
        found.append(ExpectedSecret(label=credential_label(chosen.keychain_key, purpose), kind="exchange_credential", purpose=purpose))
    signing = config.risk.decision_log.signing_key_id
    found.append(ExpectedSecret(label=signing, kind="signing_key", purpose="decision log", variable="DECISION_LOG_HMAC_KEY"))
    found += [
        ExpectedSecret(label=token.token_id, kind="access_token", purpose="scheduler", variable=token.token_env)
        for token in config.scheduler(chosen.scheduler).rbac_tokens
    ]
    switch = config.runtime.metrics_service.kill_switch_token
    if switch is not None:
        found.append(ExpectedSecret(label=switch.token_id, kind="access_token", purpose="kill switch", variable=switch.token_env))
    return found


def referenced_labels(config: CoreConfig) -> list[str]:
    """Every label under which the configuration looks for a secret, in any of its environments, each once."""
    expected = [each.label for name in config.environments for each in expected_secrets(config, name)]
    channels = [channel.credential for named in config.alerts.channels.values() for channel in named.values()]
    mail = None if config.reporting.mail is None else config.reporting.mail.password_id
    return list(dict.fromkeys(label for label in (*expected, *channels, mail) if label is not None))


def require_referenced(config: CoreConfig, label: str) -> None:
    """Raises `ConfigError` for a label that nothing looks for: under it a secret would lie unseen."""
    labels = referenced_labels(config)
    if label not in labels:
        guess = suggestion(label, labels)
        near = guess if "did you mean" in guess else ";"
        msg = (
            f"expected a label that the configuration names ({', '.join(labels)}), found {label!r}{near} --any-label keeps it all the same"
        )
        raise ConfigError(msg)


def credential_label(keychain_key: str, purpose: str) -> str:
    """Under which label an exchange credential lies in the keychain."""
    return f"{keychain_key}:{purpose}"


def states(config: CoreConfig, environment: str, store: SecretStore, env: Mapping[str, str]) -> list[SecretState]:
    """Look for each. A keychain that does not answer makes its secrets `unusable`."""
    return [_state(config, each, store, env) for each in expected_secrets(config, environment)]


def is_placeholder(value: str) -> bool:
    """Whether the text only stands for a secret that is to come."""
    return not value.strip() or _PLACEHOLDER.fullmatch(value) is not None


def _state(config: CoreConfig, expected: ExpectedSecret, store: SecretStore, env: Mapping[str, str]) -> SecretState:
    try:
        found = _found(config, expected, store, env)
    except ConfigError as error:
        return _told(expected, "unusable", "", str(error))
    if found is None:
        return _told(expected, "missing", "", _remedy(expected))
    source, placeholder = found
    return _told(expected, "placeholder" if placeholder else "found", source, _remedy(expected) if placeholder else "")


def _found(config: CoreConfig, expected: ExpectedSecret, store: SecretStore, env: Mapping[str, str]) -> tuple[str, bool] | None:
    """Where it is, and whether it is only a placeholder."""
    if expected.kind == "signing_key":
        path = config.risk.decision_log.signing_key_path
        key = find_signing_key(expected.label, env=env, key_file=Path(path) if path else None)
        if key is not None:
            return key.source, False
    value = env.get(expected.variable) if expected.variable else None
    if value:
        return f"environment variable {expected.variable}", is_placeholder(value)
    value = store.get(expected.label)
    return None if value is None else (store.source, is_placeholder(value))


def _remedy(expected: ExpectedSecret) -> str:
    if expected.kind == "signing_key":
        return f"the first run makes one, or: dudzian secrets set {expected.label}"
    return f"dudzian secrets set {expected.label}" + (f", or set {expected.variable}" if expected.variable else "")


def _told(expected: ExpectedSecret, state: State, source: str, remedy: str) -> SecretState:
    return SecretState(label=expected.label, kind=expected.kind, purpose=expected.purpose, state=state, source=source, remedy=remedy)
