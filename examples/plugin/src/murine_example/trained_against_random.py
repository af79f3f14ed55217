"""A study: does training make networks more like cortex than the same architecture with random weights?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import murine
from murine.literature import CONWELL
from murine.studies import Claim, FigureSpec, Study, StudyResult

COLUMNS = {
    "network": "Name of the trained network.",
    "weights": "Its weights.",
    "difference": "Its score less that of its random twin: a share of the noise ceiling, or a raw score without one.",
    "low": "Lower end of the 95 % interval of the difference.",
    "high": "Upper end of the 95 % interval of the difference.",
}


class TrainedAgainstRandom(Study):
    name = "trained-against-random"
    title = "Trained against random weights"
    question = "Do trained networks score above their random twins?"
    citation = CONWELL

    def run(
        self,
        *,
        data: Sequence[str | Path | murine.Dataset] = ("simulated",),
        networks: Sequence[Any] = ("shared:resnet20_cifar10",),
        scale: str = "tiny",
        atlas: murine.Atlas | str | Path | None = None,
        progress: bool = False,
        **options: Any,
    ) -> StudyResult:
        asked = {"twins": 1, "controls": False, "progress": progress, **options}
        scores = murine.compare(networks, data[0], atlas=atlas, **asked)
        pairs = scores.differences()
        pairs = pairs[(pairs.network == pairs.other) & (pairs.weights != pairs.other_weights)]
        first = ~pairs.weights.str.startswith("random")  # else the random twin has the higher score
        sign = first.map({True: 1.0, False: -1.0})
        table = pairs[["network"]].assign(
            weights=pairs.weights.where(first, pairs.other_weights),
            difference=sign * pairs.difference,
            low=pairs.low.where(first, -pairs.high),
            high=pairs.high.where(first, -pairs.low),
        )
        shown = FigureSpec(
            "differences",
            "intervals",
            table,
            "Trained minus random",
            {"label": "network", "value": "difference", "unit": "difference of scores"},
        )
        claims = tuple(self._claim(row) for row in table.to_dict("records"))
        return StudyResult(self.name, {"differences": table}, COLUMNS, (shown,), claims)

    def _claim(self, row: dict[Any, Any]) -> Claim:
        above = row["low"] > 0
        return Claim(
            f"{row['network']} scores higher with trained weights than with random ones.",
            "reproduced" if above else "not reproduced",
            f"The 95 % interval of the difference {'lies above' if above else 'does not lie above'} zero.",
            None,  # no number was published for this network and these data
            row["difference"],
            row["low"],
            row["high"],
        )


trained_against_random = TrainedAgainstRandom()
