"""How many calls without a valid key are served: a sliding window for each address, and one for all. Pure."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

WINDOW_SECONDS: Final = 60.0
MOST_NETWORKS: Final = 10_000
_IPV6_HOST_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class StrangerPolicy:
    """Calls in a window; 0 is no limit."""

    per_network: int = 600
    in_all: int = 6000


class StrangerLimit:
    """The windows of one process. No half-open window holds more admissions than its limit.

    Memory is bounded by ``in_all`` and MOST_NETWORKS; a network that is forgotten for that begins anew, within
    ``in_all``.
    """

    def __init__(self, policy: StrangerPolicy) -> None:
        self._policy = policy
        self._all: deque[float] = deque()
        self._networks: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, network: str, now: float) -> float:
        """0 when a call of this network is admitted at ``now`` (seconds of a steady clock); else seconds to wait."""
        own = self._networks.get(network)
        if own is None:
            own = deque()
        waits = [
            _wait(times, limit, now)
            for times, limit in ((own, self._policy.per_network), (self._all, self._policy.in_all))
            if limit
        ]
        longest = max(waits, default=0.0)
        if longest == 0:
            if self._policy.per_network:
                own.append(now)
                self._networks[network] = own
                self._networks.move_to_end(network)
                if len(self._networks) > MOST_NETWORKS:
                    self._networks.popitem(last=False)
            if self._policy.in_all:
                self._all.append(now)
        return longest


def network_of(address: str) -> str:
    """The address; of IPv6 the /64, which one person has whole; the empty text for what is none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_HOST_BITS), strict=False))


def _wait(times: deque[float], limit: int, now: float) -> float:
    """Seconds until the window has room again; drops what has left it."""
    while times and times[0] <= now - WINDOW_SECONDS:
        times.popleft()
    if len(times) < limit:
        return 0.0
    return max(times[0] + WINDOW_SECONDS - now, 0.001)
