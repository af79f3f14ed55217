"""The report: it says what the atlas holds, loads nothing, and no name in the data can harm a reader."""

# ruff: noqa: RUF001 (dashes and minus signs are what the page shows)

import base64
import errno
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, shown

from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.atlas.leaderboard import leaderboards
from murine.atlas.store import Atlas
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.networks.preprocessing import Preprocessing
from murine.report.charts import columns, extent
from murine.report.figures import heatmap_figure, leaderboard_figure, write_figures
from murine.report.leaderboard_view import read_boards
from murine.report.page import write_report
from murine.report.palette import LIGHT
from murine.report.wording import finding, p_value
from murine.scoring.layer_scores import score_layers
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data
from murine.statistics.variance_correction import correct_for_pairs

N_STIMULI, N_LATENT = 44, 6
IDS = tuple(f"image_{i:02d}" for i in range(N_STIMULI))
GROUPS = tuple("blurred" if i < 22 else "sharp" for i in range(N_STIMULI))
LATENT = np.random.default_rng(1).standard_normal((N_STIMULI, N_LATENT))
SETTINGS = ScoreSettings(n_bootstraps=80, n_permutations=19, seed=3)

HOSTILE = "</script><img src=x onerror=\"document.title='harmed'\"><!-- & %{x} $a$ 'q' <b>bold</b>"

#: Name, weights and how much of the latent variables a network shows.
NETWORKS = (
    ("folder/mine.py:net", "pretrained", 1.2),
    ("folder/mine.py:net", "random:0", 0.5),
    ("folder/mine.py:net", "random:1", 0.4),
    ("other", "tag", 0.9),
    ("other", "random:0", 0.2),
    ("pixels", "none", 0.15),
)
ROLES = {"none": "control", "random": "random", "as built": "as built"}


def recording(areas=("VISp", "VISl"), noise=1.0):
    """Neurons that mix the latent variables, with noise from trial to trial."""
    generator = np.random.default_rng(2)
    neurons = [generator.standard_normal((N_LATENT, 14)) for _ in areas]
    signal = np.concatenate([LATENT @ weights for weights in neurons], axis=1).T
    trials = signal[:, :, None] + noise * generator.standard_normal((*signal.shape, 6))
    area = np.repeat(areas, 14)
    neuroid = {"neuroid_id": [f"n{i}" for i in range(len(area))], "area": area}
    return Recording.from_arrays(trials, neuroid, {"stimulus_id": IDS}, name="allen-neuropixels")


def matrices(reliability=(0.9, 0.1, 0.8)):
    """Sites without single trials: the second is too unreliable to count."""
    generator = np.random.default_rng(4)
    sites, rdms = [], []
    for layer in ("2/3", "5", "6")[: len(reliability)]:
        points = LATENT + 0.4 * generator.standard_normal(LATENT.shape)
        distance = 1 - np.corrcoef(points)
        np.fill_diagonal(distance, 0)
        rdms.append((distance + distance.T) / 2)
        sites.append(Site.of({"area": "VISp", "layer": layer}))
    sem = np.full(len(sites), 0.01)
    return NeuralRDMs(np.stack(rdms), tuple(sites), IDS, np.array(reliability), sem, "allen-2p")


def layers(strength, seed, prefix="", flagged=True):
    generator = np.random.default_rng(seed)
    made = []
    for k in range(4):
        shown = strength * (1 - abs(k - 1) / 4)
        features = shown * LATENT @ generator.standard_normal((N_LATENT, 30))
        features = features + generator.standard_normal((N_STIMULI, 30))
        made.append(CapturedLayer(f"{prefix}layer{k}", k / 4, (30,), LayerKernel.of(features)))
    if flagged:
        made.append(CapturedLayer(f"{prefix}dead", 1.0, (3,), None, flag=f"{prefix}constant"))
    return made


def fill(atlas, data, networks=NETWORKS, metric="rsa-pearson", by=("area",), change=lambda rows: rows, **options):
    """Score networks against data and write them as a sweep does."""
    benchmark = SiteBenchmark(make_site_data(data, by, n_splits=5), metric, groups=GROUPS, settings=SETTINGS)
    for i, (network, weights, strength) in enumerate(networks):
        digest = hashlib.sha256(f"{network} {weights}".encode()).hexdigest()
        task = ScoreTask(
            network=network,
            weights=weights,
            capture=CaptureTask(
                network_digest=digest,
                preprocessing=Preprocessing(input_size=(64, 64)),
                stimuli_digest="0" * 64,
                layers="all",
            ),
            cortex=CortexSettings(cortex=data.name, by=by, n_splits=5),
            cortex_digest=data.digest,
            metric=metric,
            n_bootstraps=SETTINGS.n_bootstraps,
            n_permutations=SETTINGS.n_permutations,
            seed=SETTINGS.seed,
        )
        rows = score_layers(layers(strength, i, **options), benchmark).assign(
            role=ROLES.get(weights.partition(":")[0], "trained")
        )
        atlas.write_scores(task, change(rows), {"murine": "0", "python": "3"})
    return atlas


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    return fill(fill(Atlas(folder), recording()), matrices())


@dataclass
class Page(HTMLParser):
    """What a browser would make of the file."""

    text: str
    tags: list = field(default_factory=list)
    scripts: list = field(default_factory=list)
    styles: list = field(default_factory=list)
    rows: list = field(default_factory=list)  # of every table row: the texts of its cells
    words: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self._inside = []
        self._cell = False
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append([dict(attributes), ""])
        if tag in ("script", "style"):
            self._inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self._cell = True
            self.rows[-1].append([dict(attributes), ""])

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside.pop()
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._inside and self._inside[-1] == "script":
            self.scripts[-1][1] += data
        elif self._inside:
            self.styles.append(data)
        else:
            self.words.append(data)
            if self._cell:
                self.rows[-1][-1][1] += data

    @property
    def plain(self):
        return re.sub(r"\s+", " ", "".join(self.words))

    @property
    def data(self):
        return [json.loads(text) for about, text in self.scripts if about.get("type") == "application/json"]

    def values(self, attribute):
        return [a[attribute] for _, a in self.tags if attribute in a]


def report(atlas, folder, **options):
    return Page(write_report(atlas, folder / "report.html", **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(atlas, tmp_path_factory):
    return report(atlas, tmp_path_factory.mktemp("page"))


def test_the_page_loads_nothing(page):
    assert page.values("src") == []
    assert {tag for tag, _ in page.tags} & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    hyperlinks = [a["href"] for tag, a in page.tags if tag == "a"]
    assert hyperlinks
    assert all(re.match(r"#b\d|#main|https://", link) for link in hyperlinks)
    style = " ".join(page.styles + page.values("style"))
    assert "url(" not in style
    assert "@import" not in style


def test_only_the_two_own_scripts_may_run(page):
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    own = [text for about, text in page.scripts if "type" not in about]
    assert allowed == {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own}
    assert len(own) == 2
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_the_leaderboard_shows_the_numbers_of_leaderboards(atlas, page):
    expected = leaderboards(atlas)
    shown = [row for row in page.rows if row and row[0][0].get("class") == "band"]
    assert len(shown) == len(expected) == 2 * len(NETWORKS)
    for row, (_, one) in zip(shown, expected.iterrows(), strict=True):
        cells = [cell for cell, _ in row]
        numbers = [float(cells[i]["data-v"]) for i in (0, 4, 6, 7, 8, 9, 10, 11)]
        names = ["band", "ceiled", "score", "naive", "within blurred", "within sharp", "p_max", "n_sites"]
        np.testing.assert_allclose(numbers, one[names].astype(float), rtol=1e-5)
        low, high = 100 * one.ceiled_low, 100 * one.ceiled_high
        assert row[4][1].replace("−", "-") == f"{100 * one.ceiled:.1f} [{low:.1f},\xa0{high:.1f}]"
        assert row[-1][1] == one.selection
        assert row[2][1] == one.role


def test_bars_lie_where_the_numbers_say(atlas, page):
    expected = leaderboards(atlas, cortex="allen-neuropixels")
    texts = page.text[: page.text.index('class="data"')].split("<tr data-role=")[1:]
    board = read_boards(atlas, cortex="allen-neuropixels")[0]
    text = report_text_of(page, board.name)
    spans = re.findall(r'class="span" x1="([-\d.]+)" x2="([-\d.]+)"', text)
    assert len(texts) == len(spans) == len(expected)
    low, high = extent([*expected.ceiled_low, *expected.ceiled_high, *expected.ceiled])
    for (x1, x2), (_, one) in zip(spans, expected.iterrows(), strict=True):
        ends = [low + float(x) / 200 * (high - low) for x in (x1, x2)]
        np.testing.assert_allclose(ends, [one.ceiled_low, one.ceiled_high], atol=0.001)


def report_text_of(page, name):
    """The part of the page that is about one board."""
    articles = page.text.split('<article class="board"')[1:]
    return next(article for article in articles if f">{name}</h2>" in article)


def test_the_finding_is_what_the_data_say(atlas, page):
    board = read_boards(atlas, cortex="allen-neuropixels")[0]
    table = leaderboards(atlas, cortex="allen-neuropixels")
    alike = int((table.band == 1).sum()) - 1
    text = finding(board).replace("\xa0", " ")
    best = table.iloc[0]
    start = f"The best of {len(NETWORKS)} networks, {best.network} (trained), reaches {100 * best.ceiled:.0f} %"
    assert text.startswith(start)
    assert f"[{100 * best.ceiled_low:.0f}, {100 * best.ceiled_high:.0f}] on average over 2 sites" in text
    assert (f"{alike} other" if alike else "it can be told apart from all others") in text
    score = table.set_index(["network", "weights"]).ceiled
    pairs = [
        (("folder/mine.py:net", "pretrained"), ("folder/mine.py:net", "random:0")),
        (("folder/mine.py:net", "pretrained"), ("folder/mine.py:net", "random:1")),
        (("other", "tag"), ("other", "random:0")),
    ]
    higher = sum(score[a] > score[b] for a, b in pairs)
    assert f"above their random twins in {higher} of 3 pairs" in text
    assert "optimistic" not in text
    assert "optimistic" not in finding(read_boards(atlas, cortex="allen-2p")[0])  # matrices are halved, too
    assert text in page.plain.replace("\xa0", " ")


def test_networks_as_built_have_a_role_of_their_own(tmp_path):
    """Nobody says whether they were trained: neither drawn as trained nor compared with twins as if they were."""
    networks = (("a.py:net", "as built", 1.0), ("a.py:net", "random:0", 0.4), ("b", "tag", 0.9))
    atlas = fill(Atlas(tmp_path / "atlas"), recording(), networks)
    board = read_boards(atlas)[0]
    assert not board.twins
    page = report(atlas, tmp_path)
    assert "1 trained, 1 as built, 1 with random weights" in page.plain.replace("\xa0", " ")
    chips = [attributes["class"] for tag, attributes in page.tags if tag == "span" and "class" in attributes]
    assert {"role trained", "role as built", "role random"} <= set(chips)
    style = "".join(page.styles)
    assert style.count(f"--as-built:{LIGHT['as built']};") == 1
    assert ".role.as.built .mark" in style
    best = leaderboards(atlas).iloc[0]
    if best.role == "as built":
        assert "(as built)" in finding(board)


def test_twins_are_compared_sample_by_sample(atlas):
    board = read_boards(atlas, cortex="allen-neuropixels")[0]
    rows = atlas.query(
        "SELECT * FROM scores WHERE cortex = 'allen-neuropixels' AND chosen = 'nested' AND stimuli = 'all'"
    )
    assert len(board.twins) == 3
    for pair in board.twins:
        names = [tuple(board.networks.loc[i, ["network", "weights"]]) for i in (pair.trained, pair.random)]
        assert names[0][0] == names[1][0]
        assert not names[0][1].startswith("random")
        assert names[1][1].startswith("random")
        one, other = (rows[(rows.network == n) & (rows.weights == w)].sort_values("site") for n, w in names)
        draws, without = (
            np.mean(np.stack(list(one[name])) - np.stack(list(other[name])), axis=0)
            for name in ("draws", "without_one")
        )
        low, high = np.quantile(correct_for_pairs(draws, without), [0.025, 0.975])
        expected = one.ceiled.mean() - other.ceiled.mean(), low, high
        np.testing.assert_allclose(pair.mean, expected, atol=1e-6)
        value = one.ceiled.to_numpy() - other.ceiled.to_numpy()
        np.testing.assert_allclose([pair.sites[s][0] for s in one.site], value, atol=1e-9)


def test_every_network_tells_where_it_comes_from(atlas, page):
    ids = set(page.values("id"))
    links = [a["href"] for tag, a in page.tags if tag == "a" and re.match(r"#b\d+-n\d+$", a["href"])]
    assert len(links) == 2 * len(NETWORKS)
    assert {link[1:] for link in links} <= ids
    told = [json.loads(re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), text)) for text in configurations(page)]
    tasks = leaderboards(atlas).task
    assert told == [atlas.about(task)["task"] for task in tasks]
    for task in tasks:
        assert task in page.plain


def configurations(page):
    return re.findall(r'<pre tabindex="0" aria-label="Configuration">(.*?)</pre>', page.text, flags=re.S)


def test_chosen_layers_of_every_site_are_told(atlas, page):
    rows = atlas.query("SELECT * FROM scores WHERE chosen = 'nested' AND stimuli = 'all'")
    for _, row in rows.iterrows():
        assert any(
            cells[0][1] == row.site and cells[1][1].startswith(row.layer) and cells[3][1].startswith(f"{row.score:.3f}")
            for cells in page.rows
            if len(cells) > 6
        )


def test_the_download_holds_the_rows_of_chosen_layers(atlas, page):
    for data in page.data:
        rows = {
            name: values if isinstance(values, list) else [values["levels"][code] for code in values["codes"]]
            for name, values in data["rows"].items()
        }
        table = pd.DataFrame(rows)
        table["network"] = [data["networks"][entry]["network"] for entry in table.entry]
        expected = atlas.query("SELECT * FROM scores WHERE chosen <> '' AND cortex = ?", [data["cortex"]])
        key = ["task", "site", "stimuli", "chosen"]
        assert len(table) == len(expected)
        both = table.merge(expected, on=key, suffixes=("", "_atlas"))
        assert len(both) == len(expected)
        for name in ("score", "low", "ceiling_high", "ceiled", "p_value", "depth", "n_neuroids"):
            np.testing.assert_allclose(both[name].astype(float), both[f"{name}_atlas"].astype(float), rtol=1e-3)
        for name in ("layer", "network", "split"):
            assert (both[name] == both[f"{name}_atlas"]).all()


def test_depth_profiles_hold_the_score_of_every_layer(atlas, page):
    for data in page.data:
        rows = atlas.query(
            "SELECT * FROM scores WHERE split = 'all' AND stimuli = 'all' AND cortex = ?", [data["cortex"]]
        ).set_index(["network", "weights", "site", "layer"])
        depth = data["depth"]
        for network, own in zip(data["networks"], depth["networks"], strict=True):
            names = depth["layers"][own["layers"]]["names"]
            assert names == ["layer0", "layer1", "layer2", "layer3", "dead"]
            for site, scores in zip(data["sites"], own["scores"], strict=True):
                expected = [rows.score[network["network"], network["weights"], site["site"], n] for n in names]
                shown = [np.nan if score is None else score * depth["step"] for score in scores]
                np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_sites_that_do_not_count_are_marked(atlas, page):
    board = read_boards(atlas, cortex="allen-2p")[0]
    assert dict(zip(board.sites.site, board.sites.counted, strict=True)) == {
        "VISp 2/3": True,
        "VISp 5": False,
        "VISp 6": True,
    }
    assert "not known" in report_text_of(page, board.name)  # numbers of neurons
    assert "20 sites" not in finding(board)
    assert "over 2 sites" in finding(board)


def test_sites_are_judged_by_the_ceiling_that_scores_are_divided_by(atlas):
    (board,) = read_boards(atlas, cortex="allen-neuropixels")
    rows = atlas.query(
        "SELECT site, max(ceiling) AS ceiling FROM scores WHERE cortex = 'allen-neuropixels' "
        "AND stimuli = 'all' AND chosen = 'nested' GROUP BY site",
    )
    assert dict(zip(board.sites.site, board.sites.ceiling, strict=True)) == dict(
        zip(rows.site, rows.ceiling, strict=True)
    )


def test_flagged_layers_are_listed(page):
    shown = [row for row in page.rows if len(row) == 5 and row[1][1] == "dead"]
    assert len(shown) == 2 * len(NETWORKS)
    assert {row[2][1] for row in shown} == {"constant"}


def test_scores_above_the_ceiling_are_listed_or_said_to_be_none(atlas, tmp_path):
    def raised(rows):
        names = ["ceiled", "ceiled_low", "ceiled_high"]
        rows.loc[rows.site == "VISl", names] *= 3
        return rows.assign(above_ceiling=rows.ceiled > 1)

    high = fill(Atlas(tmp_path / "high"), recording(), NETWORKS[:2], change=raised)
    page = report(high, tmp_path)
    expected = high.query("SELECT * FROM scores WHERE above_ceiling")
    groups = expected.groupby(["network", "weights", "site", "stimuli", "split"])
    shown = [row for row in page.rows if len(row) == 9 and row[1][1] == "VISl"]
    assert len(shown) == len(groups) > 0
    assert sorted(float(row[8][1].split("[")[0]) for row in shown) == sorted(groups.ceiled.max().round(2))
    assert "Scores above their ceiling occur at 1 site" in page.plain
    clean = fill(Atlas(tmp_path / "clean"), recording(), NETWORKS[3:5], flagged=False)
    assert clean.query("SELECT * FROM scores WHERE above_ceiling OR flag <> ''").empty
    plain = report(clean, tmp_path).plain
    assert "Layers that could not be compared None." in plain
    assert "Scores above their ceiling None." in plain


MARKUP = "<i>net</i> &lt;"
HOSTILE_NETWORKS = (
    (HOSTILE, "pretrained", 1.0),
    (HOSTILE, "random:0", 0.4),
    (f"x.py:{HOSTILE}", "pretrained", 0.6),
    (MARKUP, "pretrained", 0.3),
)


def test_hostile_names_stay_text(tmp_path):
    atlas = fill(Atlas(tmp_path / "atlas"), recording(), HOSTILE_NETWORKS, prefix=HOSTILE)
    page = report(atlas, tmp_path, title=HOSTILE)
    tags = [tag for tag, _ in page.tags]
    assert "img" not in tags
    assert tags.count("b") == len(HOSTILE_NETWORKS)  # the template's own, around scores
    assert len(page.scripts) == 3
    assert "<!--" not in page.text[: page.text.index("<script>")]
    assert HOSTILE in "".join(page.words)
    (data,) = page.data
    assert {network["network"] for network in data["networks"]} == {name for name, _, _ in HOSTILE_NETWORKS}
    raw = next(text for about, text in page.scripts if "type" in about)
    assert not set(raw) & set("<>&")
    for figure in (leaderboard_figure, heatmap_figure):
        figure(read_boards(atlas)[0]).draw_without_rendering()


def test_an_empty_atlas_is_refused(tmp_path):
    with pytest.raises(MurineError, match="no results"):
        write_report(Atlas(tmp_path / "none"), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_cortex_or_metric_is_refused_with_a_hint(atlas, tmp_path):
    with pytest.raises(MurineError, match="did you mean allen-neuropixels"):
        write_report(atlas, tmp_path / "report.html", cortex="allen-neuropixel")
    with pytest.raises(MurineError, match="There are: rsa-pearson"):
        write_report(atlas, tmp_path / "report.html", metric="cka")


def test_one_cortex_may_be_asked_for(atlas, tmp_path):
    page = report(atlas, tmp_path, cortex="allen-2p")
    assert [data["cortex"] for data in page.data] == ["allen-2p"]
    assert not [a for tag, a in page.tags if a.get("class") == "tabs"]


def test_where_nothing_can_be_ranked_there_is_no_report(tmp_path):
    unreliable = fill(Atlas(tmp_path / "a"), matrices((0.1, 0.05)), NETWORKS[:2])
    with pytest.raises(MurineError, match="no site has a ceiling of at least"):
        write_report(unreliable, tmp_path / "report.html")

    def silent(rows):
        return rows.assign(score=np.nan, chosen="", flag="constant", draws=None)

    flagged = fill(Atlas(tmp_path / "b"), recording(), NETWORKS[:1], change=silent)
    with pytest.raises(MurineError, match="every layer is flagged"):
        write_report(flagged, tmp_path / "report.html")


def test_a_board_without_ranks_says_why(tmp_path):
    atlas = fill(Atlas(tmp_path / "a"), recording(), NETWORKS[:2])
    fill(atlas, matrices((0.1, 0.05)), NETWORKS[:2])
    page = report(atlas, tmp_path)
    assert "None of 2 networks can be ranked: no site has a ceiling of at least 0.5." in page.plain


def test_a_network_without_scores_is_named(tmp_path):
    def silent(rows):
        return rows.assign(score=np.nan, chosen="", flag="constant", draws=None)

    atlas = fill(Atlas(tmp_path / "a"), recording(), NETWORKS[:2])
    fill(atlas, recording(), NETWORKS[5:], change=silent)
    page = report(atlas, tmp_path)
    assert "Not ranked, because no layer has a score that counts: pixels." in page.plain
    assert "not ranked" in report_text_of(page, "allen-neuropixels · rsa-pearson")


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        (NETWORKS[5:], "The only network, pixels (a control), reaches"),
        ((NETWORKS[1], NETWORKS[5]), "no trained network here has a twin"),
        (NETWORKS[:1], "The only network, net (trained), reaches"),
    ],
)
def test_few_networks_are_enough(tmp_path, networks, says):
    page = report(fill(Atlas(tmp_path / "atlas"), recording(), networks), tmp_path)
    assert says in page.plain.replace("\xa0", " ")
    write_figures(Atlas(tmp_path / "atlas"), tmp_path / "figures")


def test_without_ceilings_raw_scores_are_told_as_such(tmp_path):
    atlas = fill(Atlas(tmp_path / "atlas"), matrices((np.nan, np.nan, np.nan)), NETWORKS[:3])
    page = report(atlas, tmp_path)
    table = leaderboards(atlas)
    shown = [row for row in page.rows if row and row[0][0].get("class") == "band"]
    assert [row[4][1].split(" ")[0] for row in shown] == [f"{score:.3f}" for score in table.score]
    assert "(raw score; no site has a noise ceiling)" in page.plain
    assert page.data[0]["ceiled"] is False


def test_results_that_cannot_be_ranked_together_have_boards_of_their_own(tmp_path):
    atlas = fill(Atlas(tmp_path / "atlas"), recording(), NETWORKS[:2])
    fill(atlas, recording(("VISp", "VISam")), NETWORKS[:2])
    names = [board.name for board in read_boards(atlas)]
    assert len(set(names)) == 2
    assert all(name.startswith("allen-neuropixels · rsa-pearson · data ") for name in names)
    assert len(report(atlas, tmp_path).data) == 2


def test_labels_are_short_but_unique(tmp_path):
    networks = (
        ("a.py:net", "pretrained", 1.0),
        ("b.py:net", "pretrained", 0.9),
        ("c.py:only", "one", 0.8),
        ("c.py:only", "two", 0.7),
        ("pixels", "none", 0.2),
    )
    board = read_boards(fill(Atlas(tmp_path / "atlas"), recording(), networks))[0]
    assert set(board.networks.label) == {"a.py:net", "b.py:net", "only · one", "only · two", "pixels"}


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_an_interrupted_report_leaves_the_earlier_one(atlas, tmp_path, monkeypatch, trouble):
    file = tmp_path / "folder" / "report.html"
    file.parent.mkdir()
    file.write_text("earlier")

    def interrupted(*args):
        raise trouble

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(MurineError if isinstance(trouble, OSError) else KeyboardInterrupt):
        write_report(atlas, file)
    assert file.read_text() == "earlier"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_murine_did_not_write_is_left_out_and_told(atlas, tmp_path, caplog):
    import pyarrow.parquet as pq

    folder = tmp_path / "atlas"
    shutil.copytree(atlas.folder, folder)
    file = next(iter((folder / "scores").iterdir()))
    pq.write_table(pq.read_table(file).replace_schema_metadata({}), file)
    write_report(Atlas(folder), tmp_path / "report.html")
    assert str(file) in caplog.text
    assert file.stem not in (tmp_path / "report.html").read_text()


def test_columns_round_to_four_digits_and_keep_nothing_that_json_lacks():
    names = ["site", "area", "cortical_layer", "layer", "stimuli", "split", "chosen", "scale", "task"]
    numbers = [
        "n_neuroids",
        "n_repetitions",
        "depth",
        "n_units",
        "n_stimuli",
        "score",
        "low",
        "high",
        "ceiling",
    ]
    numbers += ["ceiling_low", "ceiling_high", "ceiled", "ceiled_low", "ceiled_high", "p_value"]
    row = {
        **dict.fromkeys(names, "a"),
        **dict.fromkeys(numbers, np.nan),
        "entry": 0,
        "score": 0.123456,
        "n_units": 10**6,
    }
    data = columns(pd.DataFrame([row]))
    assert data["score"] == [0.1235]
    assert data["n_units"] == [1_000_000]
    assert data["low"] == [None]
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.2, 0.467], 0, 0.5),
        ([-0.05, 0.31], -0.1, 0.4),
        ([1.32], 0, 1.5),
        ([np.nan], 0, 0.05),
        ([-0.2], -0.2, 0),
    ],
)
def test_axes_end_at_round_numbers(values, low, high):
    np.testing.assert_allclose(extent(values), (low, high), atol=1e-9)


def test_p_values_never_look_like_zero():
    assert [p_value(p) for p in (1 / 1001, 0.0314, 0.25, np.nan)] == ["< 0.001", "0.031", "0.25", "–"]


def test_figures_show_the_scores(atlas):
    board = read_boards(atlas, cortex="allen-2p")[0]
    table = leaderboards(atlas, cortex="allen-2p")
    axes = leaderboard_figure(board).axes[0]
    points = {
        round(y): x for line in axes.lines if line.get_marker() in "oDs" for x, y in zip(*line.get_data(), strict=True)
    }
    np.testing.assert_allclose([points[i] for i in range(len(table))], 100 * table.ceiled)
    assert [text.get_text() for text in axes.get_yticklabels()] == list(board.networks.label)
    axes = heatmap_figure(board).axes[0]
    (image,) = axes.images
    rows = atlas.query("SELECT * FROM scores WHERE cortex = 'allen-2p' AND chosen = 'nested' AND stimuli = 'all'")
    wide = rows.pivot(index="network_digest", columns="site", values="ceiled")
    expected = 100 * wide.loc[table.network_digest, ["VISp 2/3", "VISp 5", "VISp 6"]]
    np.testing.assert_allclose(np.asarray(image.get_array()), expected)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["VISp 2/3", "VISp 5 †", "VISp 6"]


def test_figures_are_written_with_editable_text(atlas, tmp_path):
    files = write_figures(atlas, tmp_path / "figures")
    assert sorted(files) == sorted((tmp_path / "figures").iterdir())
    assert len(files) == 8
    for file in files:
        start = file.read_bytes()
        assert start.startswith(b"%PDF" if file.suffix == ".pdf" else b"\x89PNG")
        assert b"/Type3" not in start


PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const shown = [...document.querySelectorAll(".board:not([hidden]) [data-chart]")];
  document.body.dataset.probe = JSON.stringify({
    overflow: document.documentElement.scrollWidth - innerWidth, images: document.images.length,
    errors: window.probeErrors, title: document.title, expected: shown.length,
    charts: shown.filter((chart) => chart.querySelector(".main-svg")).length,
    labels: [...document.querySelectorAll(".ytick text")].map((text) => text.textContent),
  });
}, 300));</script>"""


@needs_browser
@pytest.mark.parametrize("width", [500, 1400])
def test_in_a_browser_charts_are_drawn_and_nothing_overflows(tmp_path, width):
    atlas = fill(fill(Atlas(tmp_path / "atlas"), matrices(), HOSTILE_NETWORKS, prefix=HOSTILE), recording())
    file = write_report(atlas, tmp_path / "report.html", title="untouched")
    text = file.read_text(encoding="utf-8")
    # The policy would stop the probe, and hide what it should find: without it, names must be harmless too.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    listen = "<head><script>window.probeErrors = []; onerror = (m) => { probeErrors.push(String(m)); };</script>"
    file.write_text(text.replace("<head>", listen).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    document = shown(file, width, tmp_path / "user")
    probe = json.loads(next(a["data-probe"] for tag, a in Page(document).tags if tag == "body"))
    assert probe["errors"] == []
    assert probe["overflow"] <= 0
    assert probe["images"] == 0
    assert probe["title"] == "untouched"
    assert probe["charts"] == probe["expected"] == 4
    # plotly would turn <i> into italics and &lt; into a sign, had they not been escaped.
    assert probe["labels"].count(MARKUP) == 2  # in the ranking and in the heat map
