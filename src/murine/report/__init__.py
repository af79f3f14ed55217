"""Pages and figures: the results of an atlas or a study, for people to read and to share.

`write_report` writes one HTML page about all results of an atlas, which works offline, and `write_figures` draws the
same for a paper. The words of a page come from the objects that they are about: metrics, data sets and settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.report.architectures import alignments_figure as alignments_figure
    from murine.report.architectures import heat_map_figure as heat_map_figure
    from murine.report.architectures import length_figure as length_figure
    from murine.report.architectures import relations_figure as relations_figure
    from murine.report.embedding import write_embedding as write_embedding
    from murine.report.figures import write_figures as write_figures
    from murine.report.page import write_report as write_report
    from murine.report.surgery import effects_figure as effects_figure

__getattr__, __dir__, __all__ = lazy_exports(__name__)
