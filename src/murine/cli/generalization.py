"""The command that trains on one domain and asks about others."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import isolated, quieten
from murine.cli.common import names as listed
from murine.cli.options import AtlasOption, CacheOption, DataOption, DeviceOption, FormatOption, QuietOption, limited
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import COUNT, SEED, Limits

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.sweep import ScoringTask
    from murine.domains.domain import Domain
    from murine.generalization.matrix import Run
    from murine.generalization.protocol import Setting
    from murine.generalization.recipe import Recipe
    from murine.generalization.results import Results
    from murine.progress import Progress

app = typer.Typer()

#: What is compared unless told otherwise.
_VARIANTS = "plain,neurn3"
_REFERENCE = "plain"


@app.command()
def generalize(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Domain to train on; repeat, or join by commas, for several matrices."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Domains to meet (default: the six in the shared folder)."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="lenet, lenet-small, resnet18, mobilenetv2, efficientnet, nasnet, vit, conv(depth=3,...), or timm's.",
        ),
    ] = None,
    variants: Annotated[
        str,
        typer.Option(
            "--variants",
            help="plain, standardise, instance, sobel, lcn, neurn3 (4, 5), neurn3-inner (4, 5), randconv, augmix, or "
            " LAYER(OPTIONS)@PLACE; joined by commas, all for all of them.",
        ),
    ] = _VARIANTS,
    reference: Annotated[
        str, typer.Option("--reference", help="The variant that the others are compared with: sobel, for example.")
    ] = _REFERENCE,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            callback=limited("--seeds", Limits(1, 10_000)),
            help="Networks per cell: seeds 0, 1 ... One seed supports no conclusion.",
        ),
    ] = 3,
    data_seed: Annotated[
        int | None,
        typer.Option(
            "--data-seed",
            callback=limited("--data-seed", SEED),
            help="One seed of the data for all (default: the same as the model's).",
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="full, mnist10k (the literature's), or leave-one-out (sources in turn).")
    ] = "full",
    recipe: Annotated[str, typer.Option("--recipe", help="quick, paper, long or fine-tune.")] = "quick",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value in the recipe, KEY=VALUE, as epochs=20 or learning_rate=0.01."),
    ] = None,
    prepare: Annotated[
        list[str] | None,
        typer.Option(
            "--prepare", help="What is done to images, KEY=VALUE: polarity=white-on-black, framing=mnist, size=64 ..."
        ),
    ] = None,
    corruptions: Annotated[
        str, typer.Option("--corruptions", help="Corruptions of the source to meet too, at five strengths; or all.")
    ] = "",
    test_images: Annotated[
        int | None,
        typer.Option(
            "--test-images",
            callback=limited("--test-images", COUNT._replace(least=2)),
            help="At most so many of every domain, drawn once (default: all).",
        ),
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            "--search",
            callback=limited("--search", Limits(0, 100_000)),
            help="Search N small networks without NeuRN and N with it, by the source alone, and compare the best; "
            "instead of --network and --variants.",
        ),
    ] = 0,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="Score every network against this cortex, too (a name of `murine data list`, or a file of responses), "
            "and hold the change in brain score beside that in accuracy.",
        ),
    ] = "",
    metric: Annotated[str, typer.Option("--metric", help="For --against, as for `murine score`.")] = "rsa-pearson",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from the zoo's weights: any network that `murine score` takes.")
    ] = False,
    atlas: AtlasOption = Path("atlas"),
    data: DataOption = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="Write a page with figures (.html).")] = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Train on one domain, meet the others: accuracy on domains never seen, with and without NeuRN.

    Nothing but the source is seen in training: the epoch is chosen by held-back images of the source. Every cell has a
    95 % interval over seeds and images together; differences to the plain network (or to `--reference`) are paired by
    seed and image, their p adjusted by Holm's method. Finished networks are kept in the atlas: the same command goes on
    where it was stopped.

    With one seed, intervals are over images only, and nothing is concluded. Networks that are not above chance on their
    own source are marked, and nothing is concluded from them either: such differences have no p (the column `no_claim`
    says why).

    Examples:

    `murine generalize --source mnist --network lenet --variants plain,neurn3 --seeds 3`

    `murine generalize --source mnist --protocol mnist10k --variants all --corruptions all --out page.html`

    `murine generalize --source usps --variants plain,neurn3,sobel --reference sobel`

    `murine generalize --protocol leave-one-out --network resnet18 --recipe long --device cuda`

    `murine generalize --source mnist --variants all --against allen-2p --out page.html`

    `murine generalize --source mnist --search 20 --set n_train=3000`

    `murine generalize --source fonts --network resnet18.a1_in1k --pretrained --recipe fine-tune --prepare size=64`

    `murine generalize --network examples/trained_networks.py:mobilenet_v2 --pretrained --prepare size=64`
    """
    from murine.atlas.store import Atlas
    from murine.domains.catalogue import domains, load_domain
    from murine.domains.preparation import Preparation
    from murine.generalization import matrix
    from murine.generalization.protocol import adapted, settings
    from murine.generalization.recipe import recipes
    from murine.generalization.results import Results
    from murine.generalization.variants import variants as training_variants
    from murine.progress import progress_bars

    quieten(quiet)
    if search and (network or pretrained or variants != _VARIANTS):
        raise MurineError(
            "--search finds networks and variants itself, from scratch: leave out --network, --variants and "
            "--pretrained."
        )
    if pretrained and against:
        raise MurineError(
            "networks of --pretrained cannot be scored with --against: their heads are others now, so `murine score` "
            "cannot build them. Leave one of the two out."
        )
    usual = [name for name in domains if domains[name].kind == "shared"]
    targets = _each(target) or usual
    chosen = list(training_variants) if variants == "all" else _each([variants])
    if reference != _REFERENCE and reference not in chosen:
        raise MurineError(f"the reference {reference!r} is none of the variants: {', '.join(chosen)}.")
    how = adapted(protocol, recipes[recipe], _values(change, "--set"))
    preparation = _checked(Preparation, _values(prepare, "--prepare"), "--prepare")

    def load(name: str, part: str | None) -> Domain:
        return load_domain(name, preparation=preparation, part=part, data=data, cache=cache)

    leave_one_out = protocol == "leave-one-out"
    sources = _each(source) or (targets if leave_one_out else ["mnist"])
    found = settings(protocol, sources, targets, load, _strengths(corruptions), n_test=test_images)
    seed_pairs = matrix.seed_pairs(seeds, data_seed)
    bench = _bench(against, metric, data, device) if against else None
    results = Results(Atlas(atlas))
    brains, failure = None, None
    with progress_bars(not quiet) as progress:
        if search:
            runs = _searched(found, how, results, search, seed_pairs, device, progress)
        else:
            runs = matrix.plan(found, _each(network) or ["lenet"], chosen, how, seed_pairs, pretrained=pretrained)
        rows = matrix.compute(runs, results, device=device, progress=progress)
        curves = matrix.curves(runs, results)
        if search:  # two networks, held side by side as two variants of one are
            rows, curves = (table.assign(network=f"the best of {search}") for table in (rows, curves))
        if bench is not None:
            try:
                brains = _brains(runs, rows, results, bench, progress)
            except MurineError as error:  # what was trained is told all the same
                failure = error
    if out is not None:
        from murine.report.generalization import write_page

        shown = {one.target.name: one.target for setting in found for one in setting.evaluated if not one.corruption}
        _wrote(
            write_page(
                rows,
                curves,
                list(shown.values()),
                out,
                reference=reference,
                brains=brains,
                recipes=[how.model_dump_json()],
            ),
            quiet,
        )
    _show(rows, brains, reference, format)
    if failure is not None:
        raise failure


def _show(rows: pd.DataFrame, brains: pd.DataFrame | None, reference: str, format: Format) -> None:
    """The matrix with its differences, and with brain scores where they were asked for."""
    from murine.generalization import summary

    cells, differences = summary.cells(rows), summary.differences(rows, reference)
    if format not in (Format.csv, Format.json):
        _print_matrix(cells, differences, reference, format)
        if brains is not None:
            _print_brains(brains, format)
        return
    keys = [*summary.MATRIX, "variant", "target"]
    table = cells.merge(differences.drop(columns=["unseen", "corruption", "n_seeds"]), on=keys, how="left")
    if brains is not None and len(brains):
        means = brains[brains.model_seed == -1].filter(regex="^(source|network|pretrained|variant|brain)")
        table = table.merge(means, on=keys[:-1], how="left")
    show(table, format)


def _bench(against: str, metric: str, data: Path | None, device: str) -> ScoringTask:
    """What trained networks are scored by; a cortex or metric that there is not is told before anything is trained."""
    from murine.atlas.identity import CortexSettings
    from murine.atlas.sweep import ScoringTask, SweepSettings

    scoring = ScoringTask(SweepSettings(CortexSettings(cortex=against), (metric,), "own", data=data, device=device))
    scoring.prepare()
    return scoring


def _brains(
    runs: Sequence[Run], rows: pd.DataFrame, results: Results, bench: ScoringTask, progress: Progress
) -> pd.DataFrame:
    """Every trained network scored against a cortex; changes to plain beside those in accuracy."""
    from murine.atlas.sweep import each
    from murine.studies.brain_vs_robustness import shifts, trained_choices

    choices = trained_choices(runs, results)
    outcomes = list(each(bench, list(dict.fromkeys(choices.values())), results.atlas, progress, isolated=isolated()))
    for outcome in outcomes:
        if outcome.state == "failed":
            print(f"murine: {outcome.choice} has no brain score: {outcome.reason}", file=sys.stderr)
    return shifts(rows, choices, outcomes, results)


def _searched(
    found: Sequence[Setting],
    recipe: Recipe,
    results: Results,
    n_trials: int,
    seeds: Sequence[tuple[int, int]],
    device: str,
    progress: Progress,
) -> list[Run]:
    """The runs of the best networks with and without NeuRN, told as they are found."""
    from murine.generalization import matrix
    from murine.generalization.search import SIDES
    from murine.generalization.search import search as look

    runs = []
    with progress.task("searching", len(SIDES) * n_trials * len(found)) as bar:
        for setting in found:
            for best in look(setting, recipe, results, n_trials, seed=seeds[0][1], device=device, tick=bar.advance):
                print(
                    f"{setting.source.name}, best of {best.n_trials} {best.side} NeuRN: {best.network} {best.variant}, "
                    f"validation {best.clean:.3f}, corrupted {best.corrupted:.3f}",
                    file=sys.stderr,
                )
                runs += matrix.plan([setting], [best.network], [best.variant], recipe, seeds)
    return runs


def _each(texts: Sequence[str] | None) -> list[str]:
    """Names, each once; commas within brackets join options, not names."""
    found: list[str] = []
    for text in texts or ():
        depth, name = 0, ""
        for character in f"{text},":
            depth += (character == "(") - (character == ")")
            if character == "," and depth == 0:
                found.append(name.strip())
                name = ""
            else:
                name += character
    return list(dict.fromkeys(name for name in found if name))


def _values(texts: Sequence[str] | None, option: str) -> dict[str, Any]:
    """``epochs=20`` -> {epochs: 20}, which validation reads."""
    from murine.networks.option_parser import key_value_pairs

    return dict(key_value_pairs(texts or (), option, {"--set": "epochs=20"}.get(option, "size=64")))


def _checked(kind: Any, values: Mapping[str, Any], option: str) -> Any:
    from pydantic import ValidationError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise MurineError(
            f"{option} {'.'.join(map(str, first['loc']))}={first['input']}: {first['msg'].lower()}. Known: "
            f"{', '.join(kind.model_fields)}."
        ) from error


def _strengths(text: str) -> list[tuple[str, int]]:
    """Corruptions at all their strengths."""
    from murine.domains.corruptions import STRENGTHS, corruptions, parsed

    chosen = list(corruptions) if text == "all" else listed(text)
    return [parsed(f"{name}:{strength}") for name in chosen for strength in STRENGTHS]


def _print_matrix(cells: pd.DataFrame, differences: pd.DataFrame, reference: str, format: Format) -> None:
    """One table per source and network, and what of it is a difference."""
    from murine.generalization.summary import MATRIX, at_chance_text, of_matrix, over_text

    for key, mine in cells.groupby(MATRIX, sort=False):
        source, network, pretrained = key
        about = f"{network}{' (pretrained)' if pretrained else ''} trained on {source}"
        over = over_text(mine.n_seeds)
        _print_wide(mine, "accuracy", f"{about}: accuracy in %, 95 % intervals over {over}", format)
        if at_chance := at_chance_text(mine):
            print(f"Not above chance on their own source, so nothing is concluded from them: {at_chance}.\n")
        if mine.diverged.any():
            gone = mine[mine.diverged > 0].drop_duplicates("variant")
            told = ", ".join(f"{row.diverged} of {row.variant}" for row in gone.itertuples())
            print(f"Training diverged and counts in no mean: {told}.\n")
        theirs = of_matrix(differences, key)
        if len(theirs):
            title = f"{about}: minus {reference}, in percentage points, paired by seed and image; {_note(theirs)}"
            _print_wide(theirs, "difference", title, format)
            _print_no_claim(theirs)


def _note(differences: pd.DataFrame) -> str:
    """What stars mean, or why there are none."""
    if (differences.p_adjusted < 0.05).any():
        return "* p < 0.05, Holm"
    if (differences.no_claim != "").all():
        return "no p, because nothing can be concluded"
    return "no p below 0.05 after Holm's adjustment"


def _print_no_claim(differences: pd.DataFrame) -> None:
    """Say from which comparisons nothing can be concluded, and why."""
    for reason, those in differences[differences.no_claim != ""].groupby("no_claim", sort=False):
        hint = " Take --seeds 3 or more." if "one seed" in str(reason) else ""
        print(f"Nothing can be concluded from {', '.join(those.variant.unique())}: {reason}.{hint}\n")


def _print_brains(brains: pd.DataFrame, format: Format) -> None:
    """Per source and network: what every variant changes in brain score and in accuracy."""
    import pandas as pd

    from murine.generalization.summary import MATRIX, of_matrix, over_text
    from murine.studies.brain_vs_robustness import association

    if brains.empty:
        print("No variant has a plain network of the same seeds beside it: no change in brain score can be told.")
        return
    for row in association(brains).to_dict("records"):
        mine = of_matrix(brains, [row[name] for name in MATRIX])
        mine = mine[mine.model_seed == -1]
        title = (
            f"{row['network']} trained on {row['source']}, {mine.cortex.iloc[0]}, {mine.metric.iloc[0]}: brain score "
            f"in % of the noise ceiling, and accuracy on unseen domains; 95 % intervals over {over_text(mine.n_seeds)}"
        )
        told = pd.DataFrame(
            {
                "variant": mine.variant,
                "brain score": (100 * mine.brain_after).map("{:.1f}".format),
                "minus plain": [_interval_text(cell, "brain_difference") for cell in mine.to_dict("records")],
                "accuracy minus plain": [
                    _interval_text(cell, "accuracy_difference") for cell in mine.to_dict("records")
                ],
            }
        )
        print(f"{title}\n" if format is Format.markdown else title)
        show(told, format, headings={name: name for name in told})
        if (mine.no_claim != "").any():
            print()
            _print_no_claim(mine)
        if row["n_variants"] > 2:
            print(
                f"\nSpearman's correlation of the two changes over {row['n_variants']} variants: {row['rho']:+.2f}, "
                f"p {row['p_value']:.2g} if variants were independent."
            )
        print()


def _print_wide(cells: pd.DataFrame, value: str, title: str, format: Format) -> None:
    """Variants by targets, in per cent."""
    import pandas as pd

    targets = list(cells[~cells.corruption].target.unique())
    wide = []
    for variant, mine in cells.groupby("variant", sort=False):
        mark = " (at chance)" if "at_chance" in mine and mine.at_chance.any() else ""
        row: dict[str, Any] = {"variant": f"{variant}{mark}"}
        for cell in mine.to_dict("records"):
            name = cell["target"]
            row[name] = _interval_text(cell, value)
        wide.append(row)
    print(f"{title}\n" if format is Format.markdown else title)
    show(pd.DataFrame(wide), format, headings={name: name for name in ["variant", *targets]})
    print()


def _interval_text(cell: Mapping[str, Any], value: str) -> str:
    sign = "+" if value.endswith("difference") else ""
    middle, low, high = (100 * cell[name] for name in (value, f"{value}_low", f"{value}_high"))
    if middle != middle:
        return "diverged"
    star = "*" if cell.get("p_adjusted", 1) < 0.05 else ""
    return f"{middle:{sign}.1f}{star} [{low:.1f}, {high:.1f}]"


def _wrote(file: Path, quiet: bool) -> None:
    if not quiet:
        print(f"the page is in {file}", file=sys.stderr)
