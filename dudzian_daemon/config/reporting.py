"""Reports: who gets them, and how long things are kept."""

from typing import Annotated, Literal

from msgspec import Meta

from dudzian_daemon.config.fields import (
    Days,
    Host,
    Label,
    OutputPath,
    Seconds,
    Section,
    Text,
    Variable,
    about,
)


class Mail(Section, frozen=True, kw_only=True):
    """How the daily report is mailed; never the password itself."""

    host: Annotated[Host, about("SMTP server")]
    port: Annotated[int, Meta(ge=1, le=65_535, description="TCP port; 465 is taken as TLS from the first byte")] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"], about("none: only for a server on this machine; its certificate is checked otherwise")
    ] = "starttls"
    sender: Annotated[Text, about("address in From")]
    recipients: Annotated[tuple[Text, ...], Meta(min_length=1, description="addresses in To")]
    user: Annotated[Text | None, about("user name; none: no login")] = None
    password_env: Annotated[Variable, about("environment variable that holds the password; it goes before the keychain")] = (
        "DUDZIAN_SMTP_PASSWORD"
    )
    password_id: Annotated[Label, about("the name of the password's keychain entry")] = "smtp-report"
    timeout_seconds: Annotated[Seconds, about("seconds to wait for the server")] = 30


class Retention(Section, frozen=True, kw_only=True):
    """How long what is written stays where it was written, and how long it is kept in the archive at least."""

    hot_days: Annotated[Days, about("days after which logs and journals are compressed and moved to the archive")] = 30
    archive_months: Annotated[int, Meta(ge=24, le=1200, description="months an archived report or smoke run is kept at least")] = 24
    record_days: Annotated[
        int, Meta(ge=730, le=36_500, description="days an archived journal, decision log or ledger is kept at least")
    ] = 730
    archive_path: Annotated[OutputPath, about("folder of the archive, below the data folder")] = "audit/archive"


class Reporting(Section, frozen=True, kw_only=True):
    """Reports: who gets them, and how long they are kept."""

    mail: Annotated[Mail | None, about("mailing of the daily report; none: not mailed")] = None
    age_recipients: Annotated[tuple[Text, ...], about("age public keys (age1...) that reports are encrypted to")] = ()
    package_at_stop: Annotated[bool, about("true: a run leaves the package of its last day, as the daily report makes it, without PDF")] = (
        True
    )
    min_free_mb: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="MB that must be free before a session where the daily reports and the journal lie")
    ] = 2_000
    timezone: Annotated[Text, about("time zone of local times in reports")] = "UTC"
    retention: Annotated[Retention, about("how long what is written is kept")] = Retention()
