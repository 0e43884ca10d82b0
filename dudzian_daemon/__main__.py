"""`python -m dudzian_daemon` equals `dudzian`."""

from dudzian_daemon.cli.main import main

main()
