"""How `murine generalize` prints its matrix: accuracy, differences, and brain scores beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from murine.cli.tables import Format, show

if TYPE_CHECKING:
    import pandas as pd


def show_answer(rows: pd.DataFrame, brains: pd.DataFrame | None, reference: str, format: Format) -> None:
    """Print the matrix with its differences, and with brain scores where they were asked for."""
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
