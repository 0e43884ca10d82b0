"""Watches order groups of several legs until all are filled: a leg that fails or stays away makes the core unwind the rest."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dudzian_daemon.domain.orders import ApprovedGroup, Order


class Watched(msgspec.Struct):
    """A group on its way: orders not yet filled, and the instant (ns) at which the core gives it up."""

    group_id: str
    strategy: str
    profile: str
    instruments: tuple[str, ...]
    unfilled: list[str]
    deadline: int


class LegWatch:
    """Single writer of the groups on their way."""

    def __init__(self, timeout_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._groups: dict[str, Watched] = {}

    @property
    def next_deadline(self) -> int | None:
        """The earliest instant at which a group is given up, None if none is on its way."""
        return min(watched.deadline for watched in self._groups.values()) if self._groups else None

    def export(self) -> tuple[Watched, ...]:
        """The groups on their way, to be restored."""
        return tuple(msgspec.structs.replace(watched) for watched in self._groups.values())

    def restore(self, groups: Iterable[Watched]) -> None:
        """Watch these groups and no others."""
        self._groups = {watched.group_id: msgspec.structs.replace(watched) for watched in groups}

    def start(self, approved: ApprovedGroup, instant: int) -> None:
        """Watch an opening group of several legs that are all to be filled; others need no watching."""
        group = approved.group
        if len(approved.legs) == 1 or group.link or all(leg.reduce_only for leg in approved.legs):
            return
        orders = [group.order_id(number) for number in range(len(approved.legs))]
        instruments = tuple(leg.instrument for leg in approved.legs)
        deadline = instant + group.held_ns + self._timeout_ns
        self._groups[group.id] = Watched(group.id, group.strategy, group.profile, instruments, orders, deadline)

    def filled(self, order: Order) -> None:
        """More of one leg is filled; the last one that is filled to the end ends the watch."""
        watched = self._groups.get(order.group_id)
        if watched is not None and not order.left:
            watched.unfilled = [each for each in watched.unfilled if each != order.id]
            if not watched.unfilled:
                del self._groups[order.group_id]

    def failed(self, order: Order, instant: int) -> None:
        """One leg will never be filled: the group is given up in this step, or in the next if that is over."""
        watched = self._groups.get(order.group_id)
        if watched is not None:
            watched.deadline = min(watched.deadline, instant)

    def give_up(self, instant: int) -> list[Watched]:
        """The groups whose time is over at `instant`; they are watched no more."""
        expired = [watched for watched in self._groups.values() if watched.deadline <= instant]
        for watched in expired:
            del self._groups[watched.group_id]
        return expired
