"""Whether the process makes progress, as `/readyz`, `/livez` and the service manager are told."""

from __future__ import annotations

from typing import Final

from dudzian_daemon.app.bootstrap import Assembly
from dudzian_daemon.kernel.service import Readiness

#: An input this late (wall seconds) makes the daemon not ready.
OVERDUE_SECONDS: Final = 10.0


class Progress:
    """Answers from the start on; before there is an `assembly` the daemon lives and is not ready."""

    def __init__(self) -> None:
        self.assembly: Assembly | None = None

    def readiness(self) -> Readiness:
        """Ready is progress of data: the session runs, its disk answers, and no input is overdue."""
        if self.assembly is None:
            return Readiness(False, ("starting",))
        reasons = []
        state = self.assembly.status.status.state
        if state != "running":
            reasons.append(f"session is {state}")
        overdue = self.assembly.session.overdue_seconds()
        if overdue > OVERDUE_SECONDS:
            reasons.append(f"the next input is {overdue:.0f} s overdue")
        if self.assembly.live is not None:
            reasons += self.assembly.live.not_ready()
        return Readiness(not reasons, tuple(reasons))

    def liveness(self) -> Readiness:
        """Live is progress of the process: that this is answered, the journal is written, no loop is stuck. The market may be away."""
        if self.assembly is None:
            return Readiness(True)
        status = self.assembly.status.status
        reasons = [f"session is {status.state}: the journal cannot be written"] if status.state == "frozen" else []
        if self.assembly.live is not None:
            reasons += self.assembly.live.progress.stuck()
        return Readiness(not reasons, tuple(reasons))

    def status_text(self) -> str:
        """The line that a service manager shows."""
        if self.assembly is None:
            return "starting"
        status, readiness = self.assembly.status.status, self.readiness()
        ready = "ready" if readiness.ready else ", ".join(readiness.reasons)
        return f"{status.environment}: {status.state}, cycle {status.sequence}, equity {status.equity:.2f}; {ready}"
