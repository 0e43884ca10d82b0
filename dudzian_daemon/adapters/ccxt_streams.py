"""What of ccxt's websockets is ours: the feed paces connections and gives up silent ones, so no second back-off and no forgotten socket."""

from __future__ import annotations

from typing import Any


def paced_by_the_feed(venue: type[Any]) -> type[Any]:
    """The venue's class, in which a connection that was given up can do nothing any more, and the next one is tried at once.

    ccxt knows connections by URL: one that is given up while it is being made would come to life later, be pushed to for good, and
    take the one that came after it along when it ends.
    """

    class Paced(venue):  # type: ignore[misc] # ccxt has no types
        def ws_dial_delay(self, _url: str) -> float:
            """None; ccxt's own is up to 30 s, longer than the feed waits for a first word."""
            return 0.0

        def on_connected(self, client: Any, message: object = None) -> None:
            if self._is_given_up(client):
                self.spawn(client.close)
            else:
                super().on_connected(client, message)

        def on_error(self, client: Any, error: object) -> None:
            if not self._is_given_up(client):
                super().on_error(client, error)

        def on_close(self, client: Any, error: object) -> None:
            if not self._is_given_up(client):
                super().on_close(client, error)

        def _is_given_up(self, client: Any) -> bool:
            return self.clients.get(client.url) is not client

    return Paced


def heard_by_its_owner(venue: type[Any]) -> type[Any]:
    """The venue's class, which tells of every message: ccxt itself wakes who waits once for a burst of them."""

    class Heard(venue):  # type: ignore[misc] # ccxt has no types
        def heard(self) -> None:
            """Called after every message, when what it brought is in ccxt's own tables; for the client's owner to replace."""

        def handle_message(self, client: Any, message: object) -> None:
            super().handle_message(client, message)
            self.heard()

    return Heard
