"""What the configuration declares of keys, and whether the secrets are there. Nothing here needs a key to start a paper session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dudzian_daemon.adapters.secret_store import SecretStore
from dudzian_daemon.app.credentials import states
from dudzian_daemon.app.key_rotation import INTERVAL_DAYS, WARN_DAYS, key_ages, key_names, worst
from dudzian_daemon.app.precheck.findings import Finding, ok
from dudzian_daemon.config.schema import CoreConfig


def secrets(config: CoreConfig, environment: str, store: SecretStore, env: Mapping[str, str]) -> list[Finding]:
    """One finding per secret; a missing signing key is made by the first run, everything else that lacks is a warning."""
    found = []
    for each in states(config, environment, store, env):
        check = f"secret {each.label}"
        if each.state == "found" or (each.state == "missing" and each.kind == "signing_key"):
            found.append(ok(check, "found" if each.state == "found" else "none yet; the first run makes one"))
        else:
            message = f"the {each.purpose} secret {each.label} is {each.state}"
            found.append(Finding(check=check, status="warning", code=f"secret_{each.state}", message=message, remedy=each.remedy))
    return found


def rotation(config: CoreConfig, environment: str, rotations: Mapping[str, datetime], now_ns: int) -> Finding:
    """The age of the environment's key by the register."""
    ages = key_ages(key_names(config, [environment]), rotations, now_ns, interval_days=INTERVAL_DAYS, warn_days=WARN_DAYS)
    state = worst(ages)
    if state == "ok":
        return ok("rotation", "no key is to be changed soon" if ages else "the environment has no key")
    age = ages[0]
    when = "its change was never recorded" if age.due is None else f"it must be changed by {age.due}"
    return Finding(
        check="rotation",
        status="warning",
        code=f"rotation_{state}",
        message=f"key {age.name} is {state}: {when}",
        remedy=f"change it at the venue, then: dudzian check-key-rotation --environment {environment} --update",
    )


def addresses(config: CoreConfig, environment: str) -> Finding:
    """The addresses the key is bound to, as declared."""
    chosen = config.environment(environment)
    if chosen.keychain_key is None:
        return ok("ip_allowlist", "the environment has no key")
    if chosen.ip_allowlist:
        return ok("ip_allowlist", f"{len(chosen.ip_allowlist)} addresses")
    return Finding(
        check="ip_allowlist",
        status="warning",
        code="ip_allowlist_empty",
        message="the key of the environment is bound to no address",
        remedy=f"write the VPN's exit and the emergency workstation into environments.{environment}.ip_allowlist, and at the venue",
    )


def permissions(config: CoreConfig, environment: str) -> Finding:
    """What the venue granted the key, as declared in credentials/; a forbidden right is an error of the configuration already."""
    chosen = config.environment(environment)
    if chosen.keychain_key is None:
        return ok("key_permissions", "the environment has no key")
    credential = config.credentials.get(environment)
    if credential is None:
        return Finding(
            check="key_permissions",
            status="warning",
            code="key_permissions_undeclared",
            message="nothing is declared of what the venue granted the key",
            remedy=f"write credentials/{environment}.yaml beside core.yaml",
        )
    return ok("key_permissions", f"granted {', '.join(credential.permissions)}; never {', '.join(chosen.forbidden_permissions)}")
