"""What the benchmarks of one process share: the settings of the command line, and where rows and marks go.

`SESSION` is the same for all benchmarks of a process, and is therefore not passed through each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastrace.bench.meter import Meter
from fastrace.bench.row import Row


@dataclass(frozen=True)
class Settings:
    """What the command line requests.

    Attributes
    ----------
    quick : bool
        Fewer cases and rounds.
    peers : str
        ``all``, ``fast``, or parts of names with commas between them.
    check_only : bool
        Compare the results and time nothing.
    rounds : int or None
        At most so many.
    """

    quick: bool = False
    peers: str = "all"
    check_only: bool = False
    rounds: int | None = None

    def leaves_out(self, name: str) -> bool:
        """Whether a peer of that name was not requested."""
        parts = [part.strip().lower() for part in self.peers.split(",")]
        return self.peers not in ("all", "fast") and not any(part in name.lower() for part in parts)


@dataclass
class Session:
    """What the benchmarks of one process share.

    Attributes
    ----------
    settings : Settings
    mark : callable
        Gets operation, peer and how many seconds it may take before each call, and two empty words after the last: what
        ended the process, if it ends, or has to be ended.
    emit : callable
        Takes the rows of each operation that is done.
    ended : dict
        (operation, peer) -> what is known of it: it ended an earlier process, and is not called again.
    done : frozenset
        Operations that an earlier process measured.
    meter : Meter
        Measures what others used meanwhile.
    """

    settings: Settings = field(default_factory=Settings)
    mark: Callable[[str, str, float], None] = lambda operation, peer, patience: None
    emit: Callable[[list[Row]], None] = lambda rows: None
    ended: Mapping[tuple[str, str], str] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    meter: Meter = field(default_factory=Meter)


SESSION = Session()
