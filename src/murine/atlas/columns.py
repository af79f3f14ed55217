"""The columns of the tables of an atlas: what each one means, its unit, and when it is empty.

`PARQUET` describes the files, table by table; `murine.atlas.view_columns` describes what ``murine results`` prints.
``docs/reference/tables.md`` is made of both by ``tools/write_tables_page.py``. The types are not repeated here: they
are in the schemas (`murine.atlas.tables`).
"""

from __future__ import annotations

from dataclasses import replace

from murine.atlas.column import CEILED, NUMBER, SCALE, Column, P, R
from murine.atlas.masquerade_columns import MASQUERADE

#: A row is *chosen* if its layer is the choice for its site.
_NOT_CHOSEN = "in rows that are not chosen"
_NO_CEILING = "without a score, and where the ceiling is unknown or not above zero"
_NO_INTERVAL = "without a score, with no bootstraps, and for layers within a group of images that no site has chosen"
_NO_SUBJECTS = "without `--over`, and except in chosen rows on all images"
_FEW_SUBJECTS = f"{_NO_SUBJECTS}; if too few neurons or animals leave samples without a score"
_NOT_DEFINED = "if more than one draw in twenty is undefined"
_FLAGGED = "in rows with a flag"

_NETWORK = {
    "task": Column("The identity of the result: a digest of its whole configuration. It is the name of its file."),
    "network": Column("The network's name, as commands take it, with `+LAYER@PLACE` for each inserted layer."),
    "weights": Column(
        "Where the weights are from: `pretrained:TAG`, `random:SEED`, `file:NAME`, `as built`, `in memory` or `none`."
    ),
    "role": Column("What the network is in a comparison: `trained`, `random`, `as built` or `control`."),
    "network_digest": Column("Digest of the network's name, modules, weights, source file and surgery."),
    "input_size": Column("Size of the images that entered the network, as `HEIGHTxWIDTH`.", "pixels"),
}

_SITE = {
    "site": Column("The group of neurons that the network is compared with, for example `VISp` or `VISp 2/3`."),
    "area": Column("The cortical area of the site.", empty="if sites are not made by area, and in data without areas"),
    "cortical_layer": Column("The cortical layer of the site.", empty="if sites are not made by cortical layer"),
    "site_flag": Column("What to know about the site and its ceiling, in words.", empty="if there is nothing to say"),
    "n_neuroids": Column("Usable neurons of the site.", NUMBER, "never; 0 for data that come as matrices"),
    "n_repetitions": Column("Trials of each image in the data.", NUMBER, "never; 0 for data that come as matrices"),
}

_SCORES = {
    **_NETWORK,
    "method": Column(
        "Version of the scoring method. It rises when the same configuration gives other numbers.", "version"
    ),
    "layer": Column(
        "The layer: a name of `named_modules()`, with `:2` for a module's second call and `[0]` for a part of its "
        "output. In held-out rows, the layer that halves of the images choose most often. `all layers together` for "
        "metrics that combine layers."
    ),
    "other_layer": Column(
        "The layer that halves of the images choose second most often.",
        empty="except in held-out rows, and if every half chooses the same layer",
    ),
    "layer_index": Column(
        "Position of the layer in the order of execution, from 0. Layers with the output of an earlier one are not "
        "counted.",
        "position",
    ),
    "depth": Column(
        "Position of the layer in the order of execution, from first to last.", "share of the network, 0 to 1"
    ),
    "n_units": Column("Units of the layer: numbers it gives for one image.", NUMBER),
    "same_as": Column(
        "Later layers with an identical output. They have no rows of their own.", empty="if there is no such layer"
    ),
    "flag": Column("Why the row has no score, in words.", empty="if the row has a score"),
    "cortex": Column("Name of the data set that the network is compared with."),
    "cortex_digest": Column("Digest of the data: labels, responses and images' ids."),
    "cortex_settings": Column("Digest of how neurons were selected and grouped, and of how RDMs are made."),
    "layers": Column("The requested layers (`--layers`)."),
    **_SITE,
    "metric": Column("Name of the metric."),
    "normalise_neurons": Column("Treatment of neurons: `none`, or `zscore` (standardised over images)."),
    "normalise_features": Column("Treatment of a layer's units: `none`, or `zscore` (standardised over images)."),
    "scale": Column("The scale of the score. Only a ceiling on the same scale may be applied."),
    "stimuli": Column("The images of the row: `all`, or the name of a group of images."),
    "n_stimuli": Column("Number of these images.", NUMBER),
    "split": Column(
        "`held out` if layers were chosen on one half of the images and scored on the other half; else `all`."
    ),
    "score": Column("The score of the layer at the site.", SCALE, _FLAGGED),
    "low": Column(
        "Lower end of the 95 % interval of `score` over new images.", SCALE, f"{_NO_INTERVAL}; {_NOT_DEFINED}"
    ),
    "high": Column(
        "Upper end of the 95 % interval of `score` over new images.", SCALE, f"{_NO_INTERVAL}; {_NOT_DEFINED}"
    ),
    "plain": Column(
        "Pearson's r of responses and plain predictions, mean over neurons: the number that a script with scikit-learn "
        "gives. In held-out rows, the mean over the layers that halves choose.",
        R,
        "for metrics that do not predict neurons, and in rows with a flag",
    ),
    "chance": Column(
        "The mean of `plain` if layer and site share nothing.",
        R,
        f"for metrics that do not predict neurons, and {_NOT_CHOSEN}; for `pls-*` and per-neuron ridge also with no "
        "permutations",
    ),
    "ceiling": Column(
        "The noise ceiling: the best score that noise in the data allows.",
        SCALE,
        "in rows with a flag, and if the ceiling is unknown or not above zero",
    ),
    "ceiling_low": Column(
        "Lower end of the 95 % interval of `ceiling`.", SCALE, "as `ceiling`, and if the ceiling comes without an error"
    ),
    "ceiling_high": Column(
        "Upper end of the 95 % interval of `ceiling`.", SCALE, "as `ceiling`, and if the ceiling comes without an error"
    ),
    "ceiled": Column("`score` divided by `ceiling`. Values above 1 are kept.", CEILED, _NO_CEILING),
    "ceiled_low": Column(
        "Lower end of the 95 % interval of `ceiled`; score and ceiling are resampled together.",
        CEILED,
        f"as `low`, and {_NO_CEILING}",
    ),
    "ceiled_high": Column(
        "Upper end of the 95 % interval of `ceiled`; score and ceiling are resampled together.",
        CEILED,
        f"as `high`, and {_NO_CEILING}",
    ),
    "above_ceiling": Column(
        "Whether `ceiled` is above 1.", "yes or no", "in rows of layers and sites that were not compared"
    ),
    "p_value": Column(
        "One-sided p of `score`, by relabelling the images of the site.",
        P,
        f"without a score, with no permutations, in held-out rows within groups of images; for costly metrics also "
        f"{_NOT_CHOSEN}",
    ),
    "p_best": Column(
        "One-sided p of finding a layer this good among all layers of the network, from the best layer under each "
        "relabelling.",
        P,
        "as `p_value`, in held-out rows, within groups of images, and for costly metrics",
    ),
    "p_adjusted": Column(
        "p of a chosen row, adjusted for the number of sites of the network (Benjamini-Hochberg): `p_best` if there "
        "is one, else `p_value`, is adjusted.",
        P,
        f"{_NOT_CHOSEN}, and if the row has neither p",
    ),
    "optimism": Column(
        "The naive best layer's score minus the held-out score.", SCALE, "except in held-out rows on all images"
    ),
    "layer_share": Column(
        "Share of the halves of the images that choose `layer`.", "share, 0 to 1", "except in held-out rows"
    ),
    "chosen": Column(
        "`naive`: the best layer of its site, chosen and scored on the same images. `nested`: layers are chosen or "
        "fitted on one set of images and scored on another.",
        empty="in rows that are not chosen",
    ),
    "n_bootstraps": Column("Bootstrap samples of images.", NUMBER),
    "n_permutations": Column("Relabellings that were asked for. Costly metrics take fewer.", NUMBER),
    "seed": Column("Seed of resampling, relabelling and random halves.", "seed"),
    "over": Column(
        "What is resampled in addition to images: `neurons`, `animals` or `both`.", empty="if only images are resampled"
    ),
    "layer_choice": Column(
        "Whether layers are chosen on other images than they are scored on (`held-out`) or on the same (`naive`).",
        empty="in rows from versions that had no such choice",
    ),
    "n_subject_draws": Column("Samples of neurons or animals.", NUMBER, "never; 0 without `--over`"),
    "n_animals": Column("Animals of the site's neurons.", NUMBER, f"{_NO_SUBJECTS}, and if the animals are not known"),
    "low_subjects": Column(
        "Lower end of the 95 % interval of `score` over new neurons or animals.", SCALE, _FEW_SUBJECTS
    ),
    "high_subjects": Column(
        "Upper end of the 95 % interval of `score` over new neurons or animals.", SCALE, _FEW_SUBJECTS
    ),
    "low_both": Column("Lower end of the 95 % interval of `score` over new images and these.", SCALE, _FEW_SUBJECTS),
    "high_both": Column("Upper end of the 95 % interval of `score` over new images and these.", SCALE, _FEW_SUBJECTS),
    "ceiled_low_both": Column(
        "Lower end of the 95 % interval of `ceiled` over new images and these.", CEILED, f"{_FEW_SUBJECTS}; as `ceiled`"
    ),
    "ceiled_high_both": Column(
        "Upper end of the 95 % interval of `ceiled` over new images and these.", CEILED, f"{_FEW_SUBJECTS}; as `ceiled`"
    ),
    "draws": Column(
        "Bootstrap draws of `ceiled`, or of `score` where there is no ceiling. The samples of images are the same for "
        "all networks, so draws can be subtracted.",
        "list, one number a bootstrap",
        _NOT_CHOSEN,
    ),
    "without_one": Column(
        "The score that `draws` resamples, computed without each image in turn.",
        "list, one number an image",
        f"{_NOT_CHOSEN}, and for metrics that are not over pairs of images",
    ),
    "draws_both": Column(
        "Draws as `draws`, with images and neurons or animals resampled together.",
        "list, one number a sample of subjects",
        _NO_SUBJECTS,
    ),
    "draws_subjects": Column(
        "Draws as `draws`, with only neurons or animals resampled.",
        "list, one number a sample of subjects",
        _NO_SUBJECTS,
    ),
}

_UNITS = {
    **_NETWORK,
    "layer": replace(_SCORES["layer"], meaning="The layer: a name of `named_modules()`, as in `scores`."),
    "layer_index": replace(
        _SCORES["layer_index"], meaning="Position of the layer in the order of execution, from 0, all layers counted."
    ),
    "depth": _SCORES["depth"],
    "n_units": Column("Units of the layer that took part.", NUMBER),
    "cortex": Column("Name of the recording."),
    "cortex_digest": Column("Digest of the selected neurons and their responses."),
    "layers": _SCORES["layers"],
    "neuroid_id": Column("Id of the neuron."),
    **{
        name: Column(f"{text} of the neuron.", empty="if the recording does not say")
        for name, text in {
            "area": "Cortical area",
            "cortical_layer": "Cortical layer",
            "cell_class": "Class (excitatory or inhibitory, for example)",
            "cre_line": "Cre line of the mouse",
            "donor": "Animal",
        }.items()
    },
    "best_unit": Column(
        "Number of the neuron's best unit, in the C order of the shape of the layer's output.",
        "position",
        "never; -1 if there is none",
    ),
    "n_shuffles": Column("How often the search was repeated with shuffled images.", NUMBER),
    "seed": Column("Seed of the shuffles.", "seed"),
    "flag": Column("Why the neuron has no best unit, in words.", empty="if it has one"),
}

_NO_UNIT = "if the neuron has no best unit"
_NO_SHUFFLE = f"{_NO_UNIT}, and with no shuffles"
_ASKED = "unless `--candidates` is above 0, and if the neuron has no unit of its own"

_MATCHES = {
    **_UNITS,
    "r_train": Column("r of the best unit with the mean response over odd repetitions, which chose it.", R, _NO_UNIT),
    "r_test": Column(
        "r of the same unit with the mean response over even repetitions.",
        R,
        f"{_NO_UNIT}, and if these responses are constant or not finite",
    ),
    "r_train_shuffled": Column(
        "As `r_train`, with the images of each neuron shuffled; mean over shuffles.", R, _NO_SHUFFLE
    ),
    "r_test_shuffled": Column(
        "As `r_test`, with the images of each neuron shuffled; mean over shuffles. This is what chance gives.",
        R,
        _NO_SHUFFLE,
    ),
    "ceiling": Column(
        "The noise ceiling of `r_test`: the r of a unit without noise.",
        R,
        "if the neuron's reliability is not above zero",
    ),
    "overlap": Column(
        "Overlap of the densities of the best unit's activations and of the neuron's even responses.",
        "share, 0 to 1",
        f"{_NO_UNIT}, and if one of the two is constant",
    ),
    "overlap_shuffled": Column("As `overlap`, with shuffled images; mean over shuffles.", "share, 0 to 1", _NO_SHUFFLE),
    "assigned_unit": Column(
        "Number of the unit that is assigned to this neuron alone.",
        "position",
        "unless `--candidates` is above 0; -1 if no candidate was left",
    ),
    "assigned_r_train": Column("As `r_train`, for the assigned unit.", R, _ASKED),
    "assigned_r_test": Column("As `r_test`, for the assigned unit.", R, _ASKED),
    "assigned_gap": Column(
        "How much larger the sum of `assigned_r_train` over neurons could be at most, with all units as candidates.",
        "sum of r",
        "unless `--candidates` is above 0",
    ),
    "assigned_r_train_shuffled": Column(
        "As `assigned_r_train`, with shuffled images; mean over shuffles.", R, f"{_ASKED}; with no shuffles"
    ),
    "assigned_r_test_shuffled": Column(
        "As `assigned_r_test`, with shuffled images; mean over shuffles.", R, f"{_ASKED}; with no shuffles"
    ),
}

_RMSE = "RMSE of normalised maps"

_MAPS = {
    **_UNITS,
    "n_units": Column("Channels of the layer that have a map.", NUMBER),
    "best_unit": Column("Number of the channel with the nearest map.", "position", "never; -1 if there is none"),
    "side": Column("Cells along a side of the maps.", NUMBER),
    "unit_maps": Column("How maps of channels are made: `activation` or `weighted`."),
    "normalisation": Column("Common scale of the maps: `l2` (unit length) or `min-max` (0 to 1)."),
    "centred": Column("Whether the mean response was subtracted before images were weighted.", "yes or no"),
    "rmse_best": Column("Distance of the neuron's map to the nearest channel's map.", _RMSE, _NO_UNIT),
    "rmse_mean": Column("Mean distance of the neuron's map to the maps of all channels.", _RMSE, _NO_UNIT),
    "rmse_best_shuffled": Column("As `rmse_best`, with shuffled images; mean over shuffles.", _RMSE, _NO_SHUFFLE),
    "rmse_mean_shuffled": Column("As `rmse_mean`, with shuffled images; mean over shuffles.", _RMSE, _NO_SHUFFLE),
    "p_value": Column("(1 + shuffles that come at least as near) / (1 + shuffles).", P, _NO_SHUFFLE),
}

_DIVERGED = "if training diverged"

_GENERALIZATION = {
    "task": _NETWORK["task"],
    "source": Column("The domain whose images the network was trained on."),
    "source_digest": Column("Digest of these images and their labels."),
    "network": Column("Name of the network."),
    "variant": Column("The variant: the name of the change of the network or of its training images."),
    "layer": Column("The inserted layer.", empty="if the variant inserts no layer"),
    "place": Column("The place of the inserted layer.", empty="if the variant inserts no layer"),
    "augmentation": Column("The augmentation of the training images.", empty="if there is none"),
    "pretrained": Column("Whether training began from published weights.", "yes or no"),
    "model_seed": Column("Seed of the initial weights and of dropout.", "seed"),
    "data_seed": Column("Seed of the validation split, the order of images and augmentation.", "seed"),
    "recipe": Column("The settings of training, as JSON."),
    "state": Column("`finished`, or `diverged`."),
    "weights_digest": Column("Digest of the trained weights.", empty=_DIVERGED),
    "n_train": Column("Training images.", NUMBER),
    "n_validation": Column("Held-out images of the source, which choose the epoch.", NUMBER),
    "n_epochs": Column("Epochs that were trained.", NUMBER),
    "best_epoch": Column(
        "The epoch that was kept, from 1.", "epoch", "never; 0 if training diverged in the first epoch"
    ),
    "validation_accuracy": Column(
        "Accuracy on the validation images in the epoch that was kept.",
        "share, 0 to 1",
        "if training diverged in the first epoch",
    ),
    "target": Column("The domain that the network is tested on."),
    "target_digest": Column("Digest of the test images and their labels."),
    "unseen": Column(
        "Whether the target is other than the source's own test images: another domain, or the source's images "
        "corrupted.",
        "yes or no",
    ),
    "n_images": Column("Test images.", NUMBER),
    "n_groups": Column("Groups of test images that belong together. An image without a group is one.", NUMBER),
    "accuracy": Column("Share of the test images that are classified correctly.", "share, 0 to 1", _DIVERGED),
    "ece": Column(
        "Expected calibration error over 15 bins: how far confidence is from accuracy.", "share, 0 to 1", _DIVERGED
    ),
    "labels": Column("True class of each test image.", "list, one class an image"),
    "predicted": Column("Class that the network gives each test image.", "list, one class an image", _DIVERGED),
    "confidence": Column("Probability that the network gives this class.", "list, one probability an image", _DIVERGED),
    "groups": Column("Number of each test image's group, from 0.", "list, one number an image"),
}

#: The columns of the Parquet files, by table.
PARQUET: dict[str, dict[str, Column]] = {
    "scores": _SCORES,
    "matches": _MATCHES,
    "maps": _MAPS,
    "generalization": _GENERALIZATION,
    "masquerade": MASQUERADE,
}
