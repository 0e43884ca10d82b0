"""`dudzian` where some libraries are not installed: their names with commas between, then the arguments of `dudzian`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    names, *arguments = sys.argv[1:]
    sys.modules |= dict.fromkeys(names.split(","))  # type: ignore[arg-type] # how Python notes a module that cannot be imported
    from dudzian_daemon.cli.main import main

    sys.argv = ["dudzian", *arguments]
    main()
