"""When a session's whole state, or its hash, goes on record: exported between two ticks, encoded off the loop, sealed at its place."""

from __future__ import annotations

from typing import Final

import anyio.to_thread
import msgspec

from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.domain.ports import Journal
from dudzian_daemon.kernel import logs
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.state import SessionState, decode_state, encode_state, state_hash

#: A checkpoint is due after so much time in steps, so that running what follows it again takes about as long.
STEP_NS: Final = 3 * SECOND_NS // 10
#: It is due after so many cycles in any case.
CYCLES: Final = 5_000
#: The state's hash goes on record once in so many cycles.
HASHED_CYCLES: Final = 1_000


class Checkpoints:
    """Takes the checkpoints of one session. A `State` that does not survive its own bytes is named once; then there are none."""

    def __init__(self, driver: Driver, journal: Journal) -> None:
        self._driver = driver
        self._journal = journal
        self._stepped_ns = 0
        self._sequence = self._hashed = driver.core.sequence
        self._named = False

    @property
    def due(self) -> str:
        """Why it is time for one, empty if it is not; ask between two ticks."""
        if self._journal.segment_full:
            return "segment"
        return "due" if self._stepped_ns >= STEP_NS or self._driver.core.sequence - self._sequence >= CYCLES else ""

    def stepped(self, duration_ns: int) -> None:
        """A step took so long."""
        self._stepped_ns += duration_ns

    def hash_state(self) -> None:
        """Seal the hash of the state, once a thousand cycles and where no input waits for its cycle; call it between two ticks."""
        sequence = self._driver.core.sequence
        if sequence // HASHED_CYCLES == self._hashed // HASHED_CYCLES or not self._driver.core.recorded:
            return
        self._hashed = sequence
        state = self._exported()
        if state is not None:
            self._journal.append_entry("state", {"sequence": sequence, "hash": state_hash(encode_state(state))}, {})

    async def take(self, reason: str) -> bool:
        """Seal the state as it is now; False if there is none to seal, or the core has been stepped meanwhile."""
        state = self._exported()
        if state is None:
            return False
        encoded = await anyio.to_thread.run_sync(self._encoded, state)
        if (self._driver.last, self._driver.core.sequence) != (state.last, state.core.sequence):
            return False
        return self._sealed(encoded, reason)

    def take_now(self, reason: str) -> bool:
        """As `take`, on the loop: where nothing else is to be done."""
        state = self._exported()
        return state is not None and self._sealed(self._encoded(state), reason)

    def _exported(self) -> SessionState | None:
        try:
            return self._driver.export()
        except (TypeError, msgspec.EncodeError) as error:
            self._unusable(str(error))
            return None

    def _sealed(self, encoded: tuple[bytes, list[str]], reason: str) -> bool:
        data, unreadable = encoded
        if unreadable:
            self._unusable(", ".join(unreadable))
            return False
        self._journal.append_checkpoint(data, reason)
        self._begin_anew()
        return True

    def _encoded(self, state: SessionState) -> tuple[bytes, list[str]]:
        """The state's bytes, and what of it does not come back from them."""
        data = encode_state(state)
        unreadable = self._driver.core.strategies.unreadable(state.core.strategies)
        try:
            whole = encode_state(decode_state(data)) == data and msgspec.json.encode(msgspec.json.decode(data)) == data
        except msgspec.DecodeError:
            whole = False
        return data, unreadable or ([] if whole else ["prices or numbers that are none"])

    def _unusable(self, what: str) -> None:
        self._begin_anew()
        if self._journal.segment_full:
            self._journal.begin_segment()
        if not self._named:
            self._named = True
            logs.logger("session").warning("no_checkpoint", action="run_again_from_the_last_one", reason=what)

    def _begin_anew(self) -> None:
        self._stepped_ns, self._sequence = 0, self._driver.core.sequence
