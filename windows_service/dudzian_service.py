"""A Windows service around `dudzian run` (needs pywin32). As administrator, in the environment where dudzian is installed:

    python windows_service/dudzian_service.py --startup auto install
    python windows_service/dudzian_service.py start

What it runs comes from the machine's environment variables DUDZIAN_SERVICE_ENVIRONMENT (default binance_paper) and DUDZIAN_DATA_DIR.
A stop of the service goes through the daemon's inbox and keeps the book, as SIGTERM does elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys

import servicemanager
import win32event
import win32service
import win32serviceutil

#: Exit codes that a new start would not mend.
LASTING = frozenset({2, 3, 5})
RESTART_MS = 5_000
STOP_SECONDS = 60


class DudzianService(win32serviceutil.ServiceFramework):
    """Keeps one daemon running until the service is stopped."""

    _svc_name_ = "Dudzian"
    _svc_display_name_ = "Dudzian paper trading"
    _svc_description_ = "Paper trading whose every session can be run again from its signed log."

    def __init__(self, args: list[str]) -> None:
        super().__init__(args)
        self._stopped = win32event.CreateEvent(None, 0, 0, None)
        self._stopping = False

    def SvcStop(self) -> None:  # noqa: N802 the name that Windows calls
        """Ask the daemon to stop; it is given its time."""
        self._stopping = True
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=STOP_SECONDS * 1_000)
        subprocess.run([*_dudzian(), "stop", "--keep-positions", "--timeout", str(STOP_SECONDS)], check=False)
        win32event.SetEvent(self._stopped)

    def SvcDoRun(self) -> None:  # noqa: N802 the name that Windows calls
        """Run the daemon, again and again, but not after a code that a new start would not mend."""
        environment = os.environ.get("DUDZIAN_SERVICE_ENVIRONMENT", "binance_paper")
        while not self._stopping:
            done = subprocess.run([*_dudzian(), "run", "--environment", environment, "--no-ui"], check=False)
            if done.returncode in LASTING:
                servicemanager.LogErrorMsg(f"dudzian ended with {done.returncode}; a new start would not mend that")
                return
            if win32event.WaitForSingleObject(self._stopped, RESTART_MS) == win32event.WAIT_OBJECT_0:
                return


def _dudzian() -> list[str]:
    return [sys.executable.replace("pythonservice.exe", "python.exe"), "-m", "dudzian_daemon"]


if __name__ == "__main__":
    win32serviceutil.HandleCommandLine(DudzianService)
