"""Which session of the data folder goes on in this run, whether the operator agrees to what has changed since, and how it is told."""

from __future__ import annotations

import sys
from functools import partial
from typing import TextIO

from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.app.change_consent import consented
from dudzian_daemon.app.left_sessions import close_session
from dudzian_daemon.app.preparation import Prepared, RunOptions
from dudzian_daemon.app.recovery import PendingChange, Recovered, recover, resumable
from dudzian_daemon.app.run_logs import facts_of
from dudzian_daemon.domain import events
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock, iso_utc

log = logs.logger("daemon")


def session_that_goes_on(prepared: Prepared, options: RunOptions, key: SigningKey, clock: Clock) -> Recovered | None:
    """None where a new one begins. Raises what keeps it from going on."""
    session = resumable(prepared.data_folder, prepared.artifact)
    if session is None:
        return None
    if not options.fresh:
        return recover(prepared, session, key, facts_of(prepared), partial(_accepts, prepared, options, key, clock), clock)
    try:
        close_session(session, key, clock, reason="fresh")
    except (IntegrityError, ConfigError) as error:
        sys.stderr.write(f"dudzian: session {session.log_id} stays as it is, it cannot be closed: {error}\n")
    return None


def _accepts(prepared: Prepared, options: RunOptions, key: SigningKey, clock: Clock, change: PendingChange) -> bool:
    """Whether the operator agrees to the change: now, or beforehand. Raises `ConfigError` for a consent to something else."""
    if options.accept_change:
        return True
    consent = consented(prepared.data_folder, change, key, clock)
    if consent is not None:
        log.info("change_accepted", action="go_on", session=change.log_id, accepted_at=iso_utc(consent.at))
    return consent is not None


def tell_recovered(recovered: Recovered, out: TextIO, bus: Bus) -> None:
    """To people, the log and the bus: which session goes on, and how that was found."""
    facts, log_id = recovered.facts, recovered.session.log_id
    cut = f", {recovered.torn_bytes} torn bytes cut off" if recovered.torn_bytes else ""
    bad = f", {recovered.bad_checkpoints} damaged checkpoint(s) passed over" if recovered.bad_checkpoints else ""
    again = f"{recovered.rerun} cycles run again"
    out.write(f"dudzian: session {log_id} goes on after cycle {recovered.chain.sequence} ({again}{cut}{bad})\n")
    log.info("recovered", action="recover", session=log_id, **facts)
    facts = {name: each for name, each in facts.items() if name != "bad_checkpoints"}
    bus.publish(events.SESSION_RECOVERED, events.SessionRecovered(log_id=log_id, **facts))
