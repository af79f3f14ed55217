"""The atlas: stored results of networks, each named by its configuration, and what is read from them.

`compare` scores networks, computes only what an `Atlas` lacks, and returns `Scores`. `leaderboards` ranks networks with
rank bands, `pairwise_differences` and `trained_minus_random` compare them, and `ask` answers SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.atlas.comparison import compare as compare
    from murine.atlas.leaderboard import ask as ask
    from murine.atlas.leaderboard import leaderboards as leaderboards
    from murine.atlas.paired_differences import pairwise_differences as pairwise_differences
    from murine.atlas.scores import Scores as Scores
    from murine.atlas.store import Atlas as Atlas
    from murine.atlas.sweep import NetworkResult as NetworkResult
    from murine.atlas.trained_against_random import trained_minus_random as trained_minus_random
    from murine.atlas.views import read_view as read_view

__getattr__, __dir__, __all__ = lazy_exports(__name__)
