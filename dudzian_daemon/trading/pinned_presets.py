"""Under which preset a position fills: the session's, or after a change of it the one that the position was opened under."""

from __future__ import annotations

from collections.abc import Mapping

from dudzian_daemon.domain.fees import ExecutionPreset


class PinnedPresets:
    """`preset` is what new positions fill by; `pinned`, by `strategy instrument`, what older ones keep until they are flat."""

    def __init__(self, preset: ExecutionPreset) -> None:
        self.preset = preset
        self.pinned: dict[str, ExecutionPreset] = {}

    @property
    def longest_memory_ns(self) -> int:
        """For how long what we took may matter to anybody."""
        return max(each.memory_ns for each in (self.preset, *self.pinned.values()))

    def restore(self, pinned: Mapping[str, ExecutionPreset]) -> None:
        """Be as it was, but for the preset of new positions."""
        self.pinned = dict(pinned)

    def of(self, strategy: str, instrument: str) -> ExecutionPreset:
        """What the strategy's orders of the instrument fill by."""
        return self.pinned.get(f"{strategy} {instrument}", self.preset) if self.pinned else self.preset

    def release(self, strategy: str, instrument: str) -> None:
        """The position is flat and has no order: the next one is new."""
        self.pinned.pop(f"{strategy} {instrument}", None)
