"""Risk evaluations: answers of the gate as a reader of the history sees them, and which of them are wanted. Judges nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from dudzian_daemon.domain.history import Span, plain
from dudzian_daemon.domain.orders import Outcome, RefusalCode, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord

#: What a filter on answers or services may ask for: one value or several.
Answers = bool | None | Iterable[bool | None]
Services = str | None | Iterable[str | None]

#: Refusals that are no judgement: the gate lacked what it needed to judge by.
UNJUDGED: Final = frozenset({RefusalCode.NO_REFERENCE_PRICE, RefusalCode.STALE_DATA, RefusalCode.UNKNOWN_INSTRUMENT})
#: Every key that an evaluation's `decision` may have.
DECISION_KEYS: Final = ("group_id", "profile", *Signal.__struct_fields__)
#: The keys of a `response`.
_RESPONSE: Final = ("outcome", "code", "rule", "limit", "value", "headroom", "requested", "approved")


class EvaluationFilter(Span, total=False):
    """What a caller may ask about evaluations: a value, or several of which one must fit; what is not named is not asked about."""

    approved: Answers
    normalized: Answers
    service: Services
    include_errors: bool


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the risk gate in a durable cycle, with the signal that asked; the core's own closings have none."""

    instant: int
    finished_at: float
    service: str
    verdict: Verdict
    signal: Signal | None

    @property
    def approved(self) -> bool | None:
        """The gate's answer: True also for an adjusted size, None where it could not judge."""
        return None if self.error is not None else self.normalized

    @property
    def normalized(self) -> bool:
        """The answer as it was acted upon: what could not be judged was refused."""
        return self.verdict.outcome is not Outcome.REFUSED

    @property
    def error(self) -> str | None:
        """What the gate lacked, if it could not judge."""
        code = self.verdict.code
        return str(code) if code in UNJUDGED and not self.normalized else None

    def entry(self) -> dict[str, Any]:
        """The evaluation as a dict of its own: `decision` is the wish, and either `response` or `error` the answer."""
        verdict, error = self.verdict, self.error
        wish = {} if self.signal is None else plain(self.signal)
        answer = plain(verdict)
        response = {key: answer[key] for key in _RESPONSE}
        return {
            "timestamp": self.finished_at,
            "approved": self.approved,
            "normalized": self.normalized,
            "decision": {"group_id": verdict.group_id, "profile": verdict.profile, **wish},
            "service": self.service,
            **({"response": response} if error is None else {"error": error}),
        }


class Choice(msgspec.Struct, frozen=True):
    """Which evaluations are wanted; None wants all."""

    approved: frozenset[bool | None] | None
    normalized: frozenset[bool | None] | None
    services: frozenset[str | None] | None
    errors: bool

    def of(self, evaluations: Iterable[Evaluation]) -> Iterator[Evaluation]:
        """Those of `evaluations` that are wanted."""
        for each in evaluations:
            answers = _wanted(each.approved, self.approved) and _wanted(each.normalized, self.normalized)
            if answers and _wanted(each.service, self.services) and (self.errors or each.error is None):
                yield each


def of_record(record: CycleRecord, *, finished_at: float, service: str) -> Iterator[Evaluation]:
    """The answers of a cycle, which ended at the wall time `finished_at`, each with its signal."""
    signals = {signal.id: signal for signal in record.signals}
    for verdict in record.verdicts:
        yield Evaluation(
            instant=record.instant,
            finished_at=finished_at,
            service=service,
            verdict=verdict,
            signal=signals.get(verdict.signal_id),
        )


def choice(
    *, approved: Answers | UnsetType = UNSET, normalized: Answers | UnsetType = UNSET, service: Services | UnsetType = UNSET, errors: bool
) -> Choice:
    """The choice a caller asks for: a value, or several of which one must fit; what is unset is not asked about."""
    return Choice(_values(approved), _values(normalized), _values(service), errors)


def _values(asked: Any) -> frozenset[Any] | None:
    if asked is UNSET:
        return None
    several = isinstance(asked, Iterable) and not isinstance(asked, str)
    return frozenset(asked) if several else frozenset({asked})


def _wanted(value: Any, values: frozenset[Any] | None) -> bool:
    return values is None or value in values
