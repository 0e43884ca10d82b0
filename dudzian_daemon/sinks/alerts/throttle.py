"""Holds back alerts that say what was said within the window, counts them, and merges them into one when the window is over."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from dudzian_daemon.domain.alerts import Alert

#: Key of the context of an alert that stands for several.
MERGED: Final = "merged"


class _Said(msgspec.Struct):
    until: int
    newest: Alert
    held_back: int = 0


class Throttle:
    """Times are monotonic ns; at most `max_entries` alerts are remembered, the oldest forgotten first."""

    def __init__(
        self, window_ns: int, max_entries: int, exclude_severities: Collection[str] = (), exclude_categories: Collection[str] = ()
    ) -> None:
        self._window_ns = window_ns
        self._max_entries = max_entries
        self._severities = frozenset(exclude_severities)
        self._categories = frozenset(exclude_categories)
        self._said: OrderedDict[str, _Said] = OrderedDict()

    def admits(self, alert: Alert, now: int) -> bool:
        """Whether the alert goes out; one that does not is counted."""
        excluded = alert.severity in self._severities or alert.category in self._categories
        if excluded or alert.resolved or MERGED in alert.context:
            return True
        said = self._said.get(alert.merge_key)
        if said is not None and now < said.until:
            said.held_back += 1
            said.newest = alert
            return False
        self._said[alert.merge_key] = _Said(now + self._window_ns, alert)
        self._said.move_to_end(alert.merge_key)
        if len(self._said) > self._max_entries:
            self._said.popitem(last=False)
        return True

    def merged(self, now: int | None) -> Iterator[Alert]:
        """One alert for those held back in each window that is over at `now` (None: in all); it opens a window of its own."""
        over = [key for key, said in self._said.items() if now is None or now >= said.until]
        for key in over:
            said = self._said[key]
            if not said.held_back:
                del self._said[key]
                continue
            newest, count = said.newest, said.held_back
            if now is None:
                del self._said[key]
            else:
                self._said[key] = _Said(now + self._window_ns, newest)
            body = f"{count} more of these; the newest: {newest.body}"
            yield msgspec.structs.replace(newest, body=body, context={**newest.context, MERGED: str(count)})
