"""`dudzian` in a child process whose wall clock is some days ahead, or behind. Arguments: the days, then those of `dudzian`."""

from __future__ import annotations

import sys

_DAY_NS = 86_400_000_000_000


def main(days: str, *arguments: str) -> None:
    """Run the command."""
    from dudzian_daemon.cli.main import main as command
    from dudzian_daemon.kernel.clock import SystemClock

    wall_ns, ahead_ns = SystemClock.wall_ns, round(float(days) * _DAY_NS)

    def later(self: SystemClock) -> int:
        return wall_ns(self) + ahead_ns

    SystemClock.wall_ns = later  # type: ignore[method-assign] # a machine of another day
    sys.argv = ["dudzian", *arguments]
    command()


if __name__ == "__main__":
    main(*sys.argv[1:])
