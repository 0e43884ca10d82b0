"""How a run ends: who asked for it, what the stages of the stop do to the session, the last lines and the exit code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import anyio

from dudzian_daemon.app.bootstrap import Assembly
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.process.day_package import DayPackage
from dudzian_daemon.app.process.signals import StopRequest
from dudzian_daemon.domain.errors import DudzianError, IntegrityError, Permanent, PluginError, StorageError
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.kernel.faults import fault_point
from dudzian_daemon.kernel.hosting import judge
from dudzian_daemon.kernel.supervisor import Action, RestartPolicy, Stage, StopReport, Supervisor
from dudzian_daemon.services.session import Ending
from dudzian_daemon.sinks.reports import report_lines

_NO_RESTART: Final = RestartPolicy(most_restarts=0)


def verdict(error: Exception) -> Action:
    """What the supervisor does about a fault."""
    if isinstance(error, (IntegrityError, StorageError)):
        return Action.STOP_DAEMON
    if isinstance(error, (Permanent, PluginError)):
        return Action.STOP_SERVICE
    return Action.RETRY


def stages(prepared: Prepared) -> list[Stage]:
    """The stop, in order, with its budgets."""
    budgets = prepared.config.shutdown.budgets_seconds
    return [
        Stage("feed", budgets.feed),
        Stage("close_positions", budgets.close_positions),
        Stage("journal", budgets.cycle, durable=True),
        Stage("sinks", budgets.sinks),
        Stage("report", budgets.report),
        Stage("adapters", budgets.adapters, durable=True),
    ]


class SessionEnd:
    """Keeps who asked for the stop, ends the session accordingly, and has the last word."""

    def __init__(self, prepared: Prepared, supervisor: Supervisor, clock: Clock) -> None:
        self._prepared = prepared
        self._supervisor = supervisor
        self._package = DayPackage(prepared, clock)
        self._by_operator = False
        self._keep_positions = self._closes = False
        self._signals = 0
        #: Set once the journal says why the session stops.
        self.recorded = anyio.Event()
        self._log = logs.logger("daemon")

    def ask(self, reason: str, *, by_operator: bool, keep_positions: bool = False, closes: bool = False) -> None:
        """Ask for the stop; who asked first decides what becomes of positions and session, which is closed in any case if it `closes`."""
        if not self._supervisor.reason:
            self._by_operator, self._keep_positions, self._closes = by_operator, keep_positions, closes
        self._supervisor.request_stop(reason)

    def on_signal(self, request: StopRequest) -> None:
        """The first signal asks for the stop, every further one cuts it short."""
        self._signals += 1
        self.ask(request.signal, by_operator=request.by_operator)
        if self._signals > 1:
            self._supervisor.force()

    def host(self, assembly: Assembly) -> None:
        """Run the session, and end it in the stages of the stop."""
        supervisor, session = self._supervisor, assembly.session

        async def stop_feeding() -> None:
            await session.until_in_order()
            session.stop_feeding()

        for stage in stages(self._prepared):
            supervisor.add_action(f"begin_{stage.name}", partial(self._begin, stage.name), stage=stage.name)
        supervisor.add_action("stop_feeding", stop_feeding, stage="feed")
        supervisor.add_action("close_book", partial(self._close_book, assembly), stage="close_positions")
        supervisor.add_action("finish_journal", partial(self._finish, assembly), stage="journal")
        supervisor.add_action("write_report", partial(self._write_report, assembly), stage="report")
        supervisor.add_action("write_day_package", partial(self._write_package, assembly), stage="report")
        if self._prepared.config.reporting.package_at_stop:
            self._package.follow(assembly.journal.log_id)
            supervisor.add(self._package, stage="feed")
        supervisor.add(session, stage="journal", restart=_NO_RESTART, essential=True)

    def ending(self, *, data_ended: bool) -> Ending:
        """How the session ends, by who asked: a person's stop closes positions and a virtual session, a service manager's keeps both.

        A session on live data stays open: the market goes on, and so does the session with the next run.
        """
        if self._supervisor.fault is not None:
            return Ending("stopped", "fault", close_positions=False)
        if data_ended:
            return Ending("closed", "end_of_data", close_positions=False)
        wanted, keep = self._prepared.config.shutdown.close_positions, self._keep_positions
        return Ending(
            "closed" if self._closes or (self._by_operator and not keep and not self._prepared.live) else "stopped",
            "operator" if self._by_operator else "service",
            close_positions=not keep and (wanted == "always" or (wanted == "operator" and self._by_operator)),
        )

    def last_words(self, assembly: Assembly, report: StopReport, *, width: int = 0) -> Iterator[str]:
        """What the operator is told at the end, but for faults; with a `width` the report is wrapped."""
        for stage in report.stages:
            late = (*stage.overran, *stage.stuck, *stage.failed)
            if late:
                yield f"dudzian: stop stage {stage.name} did not finish: {', '.join(dict.fromkeys(late))}"
        if not report.forced:
            yield from report_lines(assembly.report.report, assembly.report.path, width=width)
            yield from self._package.lines()
        held = [f"{book.quantity.normalize():f} {name}" for (_, name), book in sorted(assembly.core.ledger.books.items()) if book.quantity]
        if held:
            yield f"dudzian: positions stay open, on the record: {', '.join(held)}"

    def fault(self, report: StopReport) -> str | None:
        """Why the run is no success, in one line; None if it is one."""
        error = self._supervisor.fault
        if error is not None:
            cause = judge(error, verdict)[1]
            where = "" if isinstance(cause, DudzianError) else f"the session broke: {type(cause).__name__}: "
            return f"{where}{cause}"
        late = [name for stage in report.stages if stage.name == "journal" for name in (*stage.overran, *stage.failed, *stage.stuck)]
        return f"the end of the session could not be made durable in time ({', '.join(dict.fromkeys(late))})" if late else None

    def exit_code(self, report: StopReport) -> int:
        """0 for a stop as it should be, else the fault's."""
        error = self._supervisor.fault
        cause = None if error is None else judge(error, verdict)[1]
        return cause.exit_code if isinstance(cause, DudzianError) else int(self.fault(report) is not None)

    # -- in the stages of the stop ---------------------------------------------------------------------------------

    async def _begin(self, stage: str) -> None:
        self._log.info("stop_stage", action="stop", stage=stage)
        fault_point(f"stop.{stage}")

    async def _close_book(self, assembly: Assembly) -> None:
        if self._supervisor.fault is None and not assembly.session.data_ended:
            await assembly.session.close_book(self.ending(data_ended=assembly.session.data_ended))
        self.recorded.set()

    async def _finish(self, assembly: Assembly) -> None:
        if self._supervisor.fault is None:
            await assembly.session.finish(self.ending(data_ended=assembly.session.data_ended))
        else:
            await assembly.session.give_up(self.ending(data_ended=assembly.session.data_ended))

    async def _write_report(self, assembly: Assembly) -> None:
        await assembly.report.write(
            self._prepared.data_folder / "data" / "reports" / "sessions",
            f"{self._prepared.artifact}-{assembly.journal.log_id}",
            ended=self.ending(data_ended=assembly.session.data_ended).reason,
            content_chain=assembly.journal.content,
        )

    async def _write_package(self, assembly: Assembly) -> None:
        """Not after a fault, which is what is to be looked at then, and not of a session in which nothing has happened."""
        if self._prepared.config.reporting.package_at_stop and self._supervisor.fault is None and assembly.journal.sequence:
            await self._package.write(assembly.journal.log_id)
