"""The command that trains networks on one domain and tests them on others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import isolated, quieten
from murine.cli.common import names as listed
from murine.cli.generalization_tables import show_answer
from murine.cli.options import AtlasOption, CacheOption, DataOption, DeviceOption, FormatOption, QuietOption, limited
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format
from murine.limits import COUNT, SEED, Limits

if TYPE_CHECKING:
    from murine.generalization.search import SearchResult

app = typer.Typer()

#: What is compared unless told otherwise.
_VARIANTS = "plain,neurn3"
_REFERENCE = "plain"


@app.command(cls=CommandWithNames)
def generalize(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Domain to train on; repeat it, or join names by commas, for several matrices."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Domains to test on (default: the six in the shared folder)."),
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
    ] = "plain,neurn3",
    reference: Annotated[
        str, typer.Option("--reference", help="The variant that the others are compared with, for example sobel.")
    ] = "plain",
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            callback=limited("--seeds", Limits(1, 10_000)),
            help="Number of networks per cell, with seeds 0, 1 ... One seed supports no conclusion.",
        ),
    ] = 3,
    data_seed: Annotated[
        int | None,
        typer.Option(
            "--data-seed",
            callback=limited("--data-seed", SEED),
            help="One data seed for all networks (default: equal to the model seed).",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol", help="full, mnist10k (as in the literature), or leave-one-out (each domain in turn)."
        ),
    ] = "full",
    recipe: Annotated[str, typer.Option("--recipe", help="quick, paper, long or fine-tune.")] = "quick",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value of the recipe, KEY=VALUE: epochs=20 or learning_rate=0.01."),
    ] = None,
    prepare: Annotated[
        list[str] | None,
        typer.Option(
            "--prepare", help="Preparation of images, KEY=VALUE: polarity=white-on-black, framing=mnist, size=64 ..."
        ),
    ] = None,
    corruptions: Annotated[
        str,
        typer.Option("--corruptions", help="Also test on these corruptions of the source, at five strengths; or all."),
    ] = "",
    test_images: Annotated[
        int | None,
        typer.Option(
            "--test-images",
            callback=limited("--test-images", COUNT._replace(least=2)),
            help="Maximal number of test images of every domain, drawn once (default: all).",
        ),
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            "--search",
            callback=limited("--search", Limits(0, 100_000)),
            help="Search N small networks without NeuRN and N with it, using only the source, and compare the best "
            "two; instead of --network and --variants.",
        ),
    ] = 0,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="Also score every network against this data set ({datasets}; or a file of responses), and compare "
            "the changes in brain score and in accuracy.",
        ),
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Metric for --against, as for `murine score`.")
    ] = "rsa-pearson",
    pretrained: Annotated[
        bool,
        typer.Option("--pretrained", help="Start from pretrained weights of any network that `murine score` accepts."),
    ] = False,
    atlas: AtlasOption = Path("atlas"),
    data: DataOption = None,
    cache: CacheOption = None,
    device: DeviceOption = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="Write a page with figures (.html).")] = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Train on one domain and test on the others: accuracy on unseen domains, with and without NeuRN.

    Training uses only the source; held-out images of the source choose the epoch. Every cell has a 95 % interval over
    seeds and images together. Differences to the plain network (or to `--reference`) are paired by seed and image, and
    their p is adjusted by Holm's method. Finished networks are stored in the atlas: the same command continues where it
    was interrupted.

    With one seed, intervals are over images only and support no conclusion. Networks that are not above chance on their
    own source are marked; differences that involve them have no p (the column `no_claim` gives the reason).

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
    from murine.progress import progress_bars
    from murine.studies import generalization_run

    quieten(quiet)
    question = generalization_run.GeneralizationQuestion(
        sources=_each(source),
        targets=_each(target),
        networks=_each(network),
        variants=generalization_run.variant_names(_each([variants])),
        reference=reference,
        n_seeds=seeds,
        data_seed=data_seed,
        protocol=protocol,
        recipe=recipe,
        changes=_values(change, "--set"),
        preparation=_values(prepare, "--prepare"),
        corruptions=listed(corruptions),
        n_test=test_images,
        n_search=search,
        against=against,
        metric=metric,
        pretrained=pretrained,
    )
    with progress_bars(not quiet) as progress:
        found = generalization_run.answer(
            question,
            Atlas(atlas),
            progress,
            data=data,
            cache=cache,
            device=device,
            isolated=isolated(),
            found=_tell_best,
        )
    if out is not None:
        from murine.report.generalization import write_page

        recipes = [found.recipe.model_dump_json()]
        page = write_page(
            found.rows,
            found.curves,
            list(found.evaluated),
            out,
            reference=reference,
            brains=found.brains,
            recipes=recipes,
        )
        if not quiet:
            print(f"the page is in {page}", file=sys.stderr)
    show_answer(found.rows, found.brains, reference, format)
    if found.failure is not None:
        raise found.failure


def _tell_best(source: str, best: SearchResult) -> None:
    """Tell the best network of a search."""
    print(
        f"{source}, best of {best.n_trials} {best.side} NeuRN: {best.network} {best.variant}, validation "
        f"{best.clean:.3f}, corrupted {best.corrupted:.3f}",
        file=sys.stderr,
    )


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
