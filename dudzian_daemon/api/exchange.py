"""What an exchange plugin may import: how a venue is described, and what it answers with. There is no way to an order in it."""

from dudzian_daemon.domain.errors import Permanent, Retryable
from dudzian_daemon.domain.market import GRANULARITIES, SECOND_NS, Candle, Series
from dudzian_daemon.domain.ports import CandleStore, VenueMarket
from dudzian_daemon.domain.venues import CcxtClient, Depth, PublicHttp, Source, TopOfBook, VenueAccess, VenueProfile

__all__ = [
    "GRANULARITIES",
    "SECOND_NS",
    "Candle",
    "CandleStore",
    "CcxtClient",
    "Depth",
    "Permanent",
    "PublicHttp",
    "Retryable",
    "Series",
    "Source",
    "TopOfBook",
    "VenueAccess",
    "VenueMarket",
    "VenueProfile",
]
