"""Studies: what a result refuses, what it tells, and that every registry of the package lists itself in one way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import murine
from murine.errors import MurineError
from murine.literature import CONWELL
from murine.studies import Claim, FigureSpec, Study, StudyResult
from murine.studies.claim import CLAIM_COLUMNS

TABLE = pd.DataFrame({"network": ["a", "b"], "score": [0.5, 0.25]})
COLUMNS = {"network": "Name of the network.", "score": "Mean score."}
FIGURE = FigureSpec("scores", "intervals", TABLE, "Scores", {"label": "network", "value": "score"})
CLAIMS = (
    Claim("Training helps.", "reproduced", "The interval lies above zero.", 0.1, 0.2, 0.125, 0.25),
    Claim("Size helps.", "not reproduced", "The interval holds zero.", None, 0.0, -0.5, 0.5, "points"),
    Claim("Depth helps.", "not tested", "No deep network was given.", 0.75),
)


@pytest.mark.parametrize("room", ["metrics", "datasets", "networks", "domains", "studies"])
def test_every_kind_of_thing_is_listed_and_described_in_the_same_way(room):
    kind = getattr(murine, room)
    described = kind.describe()
    assert list(described) == kind.names()
    assert all(isinstance(words, str) and words.strip() for words in described.values())


def test_kinds_that_are_built_in_are_described_by_their_own_words():
    assert "imaging in awake mice" in murine.datasets.describe()["allen-2p"]
    assert murine.metrics.describe()["rsa-pearson"] == murine.metrics["rsa-pearson"].summary
    assert murine.domains.describe()["mnist"].startswith("handwriting")
    assert murine.networks.describe()["timm"]


def test_verdicts_put_the_published_value_beside_ours():
    table = StudyResult("mine", {"scores": TABLE}, COLUMNS, claims=CLAIMS).verdicts()
    assert list(table.columns) == list(CLAIM_COLUMNS)
    assert table.published.isna().tolist() == [False, True, False]
    assert table.estimate.isna().tolist() == [False, False, True]
    assert (table.low.dropna() <= table.estimate.dropna()).all()
    assert StudyResult("mine", {}, {}).verdicts().empty


def test_a_claim_is_told_in_one_sentence():
    assert str(CLAIMS[1]) == (
        "Size helps. Published: no number; ours: 0 points [-0.5, 0.5]: not reproduced. The interval holds zero."
    )
    assert "Published: 0.75; ours: none: not tested." in str(CLAIMS[2])


def test_a_result_is_written_and_read_back(tmp_path):
    result = StudyResult("mine", {"scores": TABLE}, COLUMNS, (FIGURE,), CLAIMS)
    claims, scores = result.write(tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(scores), TABLE)
    pd.testing.assert_frame_equal(
        pd.read_csv(claims, keep_default_na=False, na_values={"published": "", "estimate": "", "low": "", "high": ""}),
        result.verdicts(),
    )
    assert repr(result) == (
        "<StudyResult mine: 1 table, 1 figure, 3 claims (1 not reproduced, 1 not tested, 1 reproduced)>"
    )
    assert "Training helps." in result._repr_html_()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Claim("x.", "proved", "y."), "the verdict on 'x.' is 'proved'; expected reproduced"),
        (lambda: Claim("x.", "reproduced", "y."), "is reproduced, but has no estimate"),
        (lambda: Claim("x.", "not tested", ""), "needs a sentence and an explanation"),
        (lambda: StudyResult("mine", {"t": TABLE}, {"network": "Name."}), "columns without a meaning: score"),
        (lambda: StudyResult("mine", {}, {}, (FIGURE, FIGURE)), "the study 'mine' has several figures named scores"),
    ],
)
def test_what_is_not_complete_is_refused(make, message):
    with pytest.raises(MurineError, match=message):
        make()


def test_a_study_without_a_recipe_cannot_be_made_and_one_cites_its_publication():
    class Title(Study):
        name, title, question, citation = "title", "A title", "A question?", CONWELL

    with pytest.raises(TypeError, match="abstract"):
        Title()

    class Whole(Title):
        def run(self, *, data=(), networks=(), scale="small", atlas=None, progress=False, **options):
            return StudyResult(self.name, {}, {})

    assert Whole().describe() == f"A title: A question?\n{CONWELL.text} {CONWELL.link}"
    assert Whole().run().study == "title"


@pytest.mark.parametrize(
    ("ends", "sign", "verdict", "place"),
    [
        ((0.1, 0.3), 1, "reproduced", "lies above zero"),
        ((0.1, 0.3), -1, "not reproduced", "lies above zero"),
        ((-0.3, -0.1), -1, "reproduced", "lies below zero"),
        ((-0.1, 0.3), 1, "not reproduced", "contains zero"),
    ],
)
def test_a_difference_is_judged_by_its_interval(ends, sign, verdict, place):
    row = {"difference": sum(ends) / 2, "low": ends[0], "high": ends[1]}
    claim = Claim.above_zero("Training helps.", row, "trained - random", sign)
    assert (claim.verdict, claim.explanation) == (verdict, f"trained - random: the 95 % interval {place}.")


def test_a_missing_value_is_not_tested():
    nan = float("nan")
    assert Claim.above_zero("x.", {"difference": nan, "low": nan, "high": nan}, "y").verdict == "not tested"
    assert Claim.beside("x.", 1.0, nan, 0.1).verdict == "not tested"


@pytest.mark.parametrize(("ours", "verdict"), [(1.05, "reproduced"), (1.2, "not reproduced")])
def test_a_value_is_judged_by_its_tolerance(ours, verdict):
    assert Claim.beside("x.", 1.0, ours, 0.1).verdict == verdict


def test_published_numbers_are_claims_with_their_kind_and_mark():
    claims = Claim.of_numbers("Jalil et al. 2025", "alignment score", {"VGG16-VGG19": 15.0, "VGG16-VGG11": -9.0}, 0)
    assert {(claim.published, claim.verdict) for claim in claims} == {(15, "reproduced"), (-10, "not reproduced")}
    assert {(claim.kind, claim.mark) for claim in claims} == {("alignment score", "F")}
    (near,) = Claim.of_numbers("Jalil et al. 2025", "alignment score", {"VGG16-VGG11": -9.0}, lambda x: 0.1 * abs(x))
    assert near.verdict == "reproduced"


@pytest.mark.parametrize(
    ("rho", "p", "n_areas", "verdict"),
    [
        (0.9, 0.02, 6, "reproduced"),
        (0.5, 0.2, 6, "not reproduced"),
        (1.0, 1 / 6, 3, "not tested"),
        (np.nan, 1.0, 6, "not tested"),
    ],
)
def test_an_order_is_judged_by_its_permutations(rho, p, n_areas, verdict):
    row = {"order_rho": rho, "order_p": p, "n_areas": n_areas, "depths": "A 0.1, B 0.2"}
    assert Claim.by_order("Depth follows the areas.", row).verdict == verdict
