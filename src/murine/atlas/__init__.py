"""The atlas: stored results of networks, each named by its configuration, and what is read from them.

`compare` scores networks, computes only what an `Atlas` lacks, and returns `Scores`. `leaderboards` ranks networks with
rank bands, `paired_differences` and `trained_minus_random` compare them, and `ask` answers SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.atlas.comparison import compare as compare
    from murine.atlas.identity import CaptureTask as CaptureTask
    from murine.atlas.identity import CortexSettings as CortexSettings
    from murine.atlas.identity import MapTask as MapTask
    from murine.atlas.identity import MatchTask as MatchTask
    from murine.atlas.identity import ScoreTask as ScoreTask
    from murine.atlas.leaderboard import ask as ask
    from murine.atlas.leaderboard import leaderboards as leaderboards
    from murine.atlas.leaderboard import paired_differences as paired_differences
    from murine.atlas.leaderboard import ranked as ranked
    from murine.atlas.scores import Scores as Scores
    from murine.atlas.store import Atlas as Atlas
    from murine.atlas.sweep import NetworkResult as NetworkResult
    from murine.atlas.sweep import SweepSettings as SweepSettings
    from murine.atlas.treatment_differences import trained_minus_random as trained_minus_random
    from murine.atlas.views import read_view as read_view

__getattr__, __dir__, __all__ = lazy_exports(__name__)
