"""The study of Conwell et al. 2021: a zoo of networks against rodent visual cortex, trained and random, by area."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pandas as pd

import murine
from murine.atlas.agreement import agreement
from murine.atlas.contrasts import Contrast, Side, contrast_table, sign_changes
from murine.atlas.depth_order import depth_order
from murine.atlas.network_predictors import PREDICTORS, network_predictors
from murine.atlas.trained_against_random import ALL_SITES
from murine.cortex.simulated import AREAS
from murine.errors import MurineError
from murine.literature import CONWELL, SIEGLE, published_numbers
from murine.networks.spec import expand
from murine.statistics.predictor_regression import regress_predictors
from murine.studies import columns
from murine.studies.claim import Claim
from murine.studies.conwell_numbers import matrix_numbers, method_numbers
from murine.studies.conwell_parts import beside_protocol, encoders, label_scores, part_figures, protocol_scores
from murine.studies.study import FigureSpec, Study, StudyResult, options_for

_SHARED = (
    *("shared:squeezenet", "shared:mobilenet_v1_025", "shared:mobilenet_v1_05", "shared:mobilenet_v1_075"),
    *("shared:mobilenet_v2", "shared:mobilenet_v2_birds", "shared:mobilenet_v2_insects"),
    *("shared:mobilenet_v2_segmentation", "shared:efficientnet_lite0", "shared:resnet20_cifar10"),
)
_CONVOLUTION = (
    *("resnet10t", "resnet18", "resnet26", "mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_b0"),
    *("regnetx_002", "ghostnet_100", "mixnet_s", "densenet121", "dla34", "repvgg_a0", "convnext_atto"),
    *("torchvision:squeezenet1_1", "torchvision:shufflenet_v2_x0_5", "torchvision:mnasnet0_5"),
)
_TRANSFORMER = ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "pit_ti_224", "xcit_nano_12_p16_224")
_MIXER = ("mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224")

#: Trained networks with a random twin, and networks with random weights alone, at each scale.
TRAINED = {
    "tiny": ("shared:resnet20_cifar10", "shared:resnet8_cifar10"),
    "small": _SHARED,
    "full": ("suite:conwell2021",),
}
RANDOM = {
    "tiny": ("resnet10t", "mobilenetv3_small_050"),
    "small": (*_CONVOLUTION, *_TRANSFORMER, *_MIXER),
    "full": ("suite:conwell2021",),
}
DATA = {"tiny": ("simulated",), "small": ("allen-2p", "allen-neuropixels"), "full": ("allen-2p", "allen-neuropixels")}
METRICS = ("rsa-pearson", "ridge")
SIDES = {"tiny": 32, "small": 64, "full": None}


class RodentTaskonomy(Study):
    name = "rodent-taskonomy"
    title = "Neural taskonomy in rodent visual cortex"
    question = "Which networks are like rodent visual cortex: trained or random, of which kind, and in which layers?"
    citation = CONWELL
    durations = MappingProxyType({"tiny": "4 minutes"})

    def run(
        self,
        *,
        data: Sequence[Any] = (),
        networks: Sequence[Any] = (),
        scale: str = "small",
        atlas: murine.Atlas | str | Path | None = None,
        progress: bool = False,
        **options: Any,
    ) -> StudyResult:
        trained = tuple(map(str, expand(list(map(str, networks)) or TRAINED[scale])))
        zoo = tuple(map(str, expand(RANDOM[scale])))
        names = [*trained, *(f"{name}@random:0" for name in (*trained, *zoo))]
        tables: dict[str, pd.DataFrame] = {}
        figures: list[FigureSpec] = []
        claims: list[Claim] = []
        notes = ["Taskonomy encoders without a score are shown as missing; --network taskonomy:NAME fetches one."]
        with TemporaryDirectory(prefix="murine-") as folder:
            store = atlas if isinstance(atlas, murine.Atlas) else murine.Atlas(atlas or folder)
            for source in data or DATA[scale]:
                dataset = murine.load_data(source)
                asked = {**options_for(dataset, METRICS), "controls": True, **options}
                scores = murine.compare(
                    dict.fromkeys(names), source, input_size=SIDES[scale], atlas=store, progress=progress, **asked
                )
                notes += [f"{network}: {reason}" for network, reason in scores.failures.items()]
                own = {
                    "ceilings": _ceilings(scores),
                    "trained-random": sign_changes(contrast_table(scores.chosen, _contrasts(trained))),
                    "networks": (known := network_predictors(store, scores.leaderboard, scores.chosen)),
                    "predictors": _regression(known),
                    "depths": scores.table[["network", "weights", "metric", "treatment", "site", "depth"]],
                    "depth-order": depth_order(scores.table, _areas_in_order()),
                }
                common = {"input_size": SIDES[scale], "atlas": store, "progress": progress, **asked}
                pairs = [*trained, *(f"{name}@random:0" for name in trained)]
                published = protocol_scores(pairs, dataset, common)
                if published is not None:
                    own["protocols"] = beside_protocol(scores.leaderboard, published.leaderboard)
                    theirs = contrast_table(published.chosen, _contrasts(trained))
                    theirs = theirs.assign(metric="published " + theirs.metric)
                    own["trained-random"] = pd.concat([own["trained-random"], theirs], ignore_index=True)
                own |= {f"by-{label.replace('_', '-')}": table for label, table in label_scores(pairs, dataset, common)}
                own["encoders"] = encoders(scores.leaderboard)
                try:
                    own["agreement"] = agreement(store, tasks=set(scores.chosen.task))[list(_AGREEMENT)]
                except MurineError as error:
                    notes.append(f"Agreement of metrics, {dataset.name}: {error}")
                tables |= {f"{label}-{dataset.name}": table for label, table in own.items()}
                figures += [*_figures(own, dataset.name), *part_figures(own, dataset.name)]
                claims += list(matrix_numbers(dataset))
                claims += list(_claims(own, dataset.name))
        claims += list(method_numbers(scale))
        return StudyResult(self.name, tables, columns.RODENT_TASKONOMY, tuple(figures), tuple(claims), tuple(notes))


_AGREEMENT = ("treatment", "metric", "other_metric", "n_networks", "r", "r_low", "r_high", "rho", "rho_low", "rho_high")


def _contrasts(trained: Sequence[str]) -> Iterator[Contrast]:
    """Each trained network against its random twin, and all against all."""
    twins = tuple(f"{name}@random:0" for name in trained)
    if len(trained) > 1:
        yield Contrast("training", "all: trained - random", Side(tuple(trained)), Side(twins))
    for name, twin in zip(trained, twins, strict=True):
        yield Contrast("training", f"{name.rpartition(':')[2]}: trained - random", Side((name,)), Side((twin,)))


def _ceilings(scores: murine.Scores) -> pd.DataFrame:
    """The reliability of every site beside the published one, which the authors call noise ceiling.

    Our ceiling is that of a correlation with responses without noise: the square root of the reliability.
    """
    own = scores.table[scores.table.metric == "rsa-pearson"].drop_duplicates("site")
    numbers = published_numbers(CONWELL.key, "noise ceiling of a site").set_index("item").value
    items = own.site.str.replace(",", " ").str.replace("  ", " ")
    return pd.DataFrame({"item": items, "published": items.map(numbers), "ours": own.ceiling**2})


def _areas_in_order() -> list[str]:
    """Areas of the mouse by their anatomical hierarchy, and those of the simulated cortex by their receptive fields."""
    scores = published_numbers(SIEGLE.key, "anatomical hierarchy score").sort_values("value")
    return [*scores["item"], *AREAS]


def _regression(known: pd.DataFrame) -> pd.DataFrame:
    """The score on all predictors at once, for each metric and treatment."""
    sets = known.groupby(["metric", "treatment"], sort=False)
    found = [
        regress_predictors(own, "value", PREDICTORS, group="architecture").assign(metric=metric, treatment=treatment)
        for (metric, treatment), own in sets
    ]
    return pd.concat(found, ignore_index=True)


def _figures(own: dict[str, pd.DataFrame], name: str) -> Iterator[FigureSpec]:
    whole = own["trained-random"]
    whole = whole[(whole.site == ALL_SITES) & whole.difference.notna()]
    for metric, rows in whole.groupby("metric", sort=False):
        yield FigureSpec(
            f"trained-random-{name}-{metric}",
            "intervals",
            rows,
            f"{name}, {metric}: trained minus random",
            {"label": "contrast", "value": "difference", "group": "treatment", "unit": rows.unit.iloc[0]},
        )
    if own["ceilings"].published.notna().any():
        yield FigureSpec(f"ceilings-{name}", "beside_published", own["ceilings"], f"{name}: reliability of sites")
    raw = own["networks"][own["networks"].treatment == "both as they are"]
    known = raw[raw.log_parameters.notna() & (raw.metric == "rsa-pearson")].assign(label=raw.network)
    for metric, rows in own["predictors"].dropna(subset="coefficient").groupby("metric", sort=False):
        yield FigureSpec(
            f"predictors-{name}-{metric}",
            "intervals",
            rows.rename(columns={"coefficient_low": "low", "coefficient_high": "high"}).assign(
                label=rows.predictor.str.replace("_", " ")
            ),
            f"{name}, {metric}: predictors of the score in one regression ({rows.n_used.iloc[0]} networks of "
            f"{rows.n_architectures.iloc[0]} architectures)",
            {
                "value": "coefficient",
                "group": "treatment",
                "unit": "change of the score, in its standard deviations",
            },
        )
    if len(known):
        yield FigureSpec(
            f"size-{name}",
            "relation",
            known.assign(parameters=10**known.log_parameters / 1e6),
            f"{name}: size and score of networks",
            {"x": "parameters", "y": "value", "group": "kind", "x_unit": "million parameters", "y_unit": "score"},
        )
    depths = own["depths"][own["depths"].treatment == "both as they are"].rename(columns={"site": "label"})
    yield FigureSpec(
        f"depths-{name}",
        "violins",
        depths[depths.metric == "rsa-pearson"],
        f"{name}: relative depth of the best layer by site",
        {"value": "depth", "unit": "relative depth"},
    )


def _claims(own: dict[str, pd.DataFrame], name: str) -> Iterator[Claim]:
    ceilings = own["ceilings"].dropna().set_index("item").ours
    yield from Claim.of_numbers(CONWELL.key, "noise ceiling of a site", ceilings, 0.002, where=name)
    whole = own["trained-random"]
    for row in whole[(whole.site == ALL_SITES) & whole.contrast.str.startswith("all: ")].to_dict("records"):
        where = f"{name}, {row['metric']}, {row['treatment']}"
        yield Claim.above_zero(
            f"Trained networks predict cortex better than random ones ({where}).", row, row["contrast"]
        )
    for row in own["depth-order"].to_dict("records"):
        where = f"{name}, {row['metric']}, {row['treatment']}, {row['role']} networks"
        yield Claim.by_order(f"The depth of the best layer follows the order of areas ({where}).", row)
    for row in own.get("agreement", pd.DataFrame()).to_dict("records"):
        gap = {"difference": row["rho"], "low": row["rho_low"], "high": row["rho_high"], "unit": "Spearman"}
        metrics = f"{row['metric']} and {row['other_metric']}"
        yield Claim.above_zero(f"{metrics} rank networks alike ({name}, {row['treatment']}).", gap, f"{metrics}, rho")


rodent_taskonomy = RodentTaskonomy()
