"""Studies: questions about networks and cortex as recipes of several steps, and the registry of them.

A `Study` takes data, networks, an atlas and a folder, and returns a `StudyResult`: tables, figures, and claims with
their published values beside ours. `names` and `describe` list all studies, and the functions of this room are steps
that studies are made of: effects of surgery, brain scores beside robustness, and verification against other libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.studies.brain_vs_robustness import association as association
    from murine.studies.brain_vs_robustness import shifts as shifts
    from murine.studies.claim import Claim as Claim
    from murine.studies.study import FigureSpec as FigureSpec
    from murine.studies.study import Study as Study
    from murine.studies.study import StudyResult as StudyResult
    from murine.studies.study import describe as describe
    from murine.studies.study import names as names
    from murine.studies.study import studies as studies
    from murine.studies.surgery_effect import effects as effects
    from murine.studies.surgery_effect import operations as operations
    from murine.studies.surgery_effect import pairs as pairs
    from murine.studies.verification import verify as verify

__getattr__, __dir__, __all__ = lazy_exports(__name__)
