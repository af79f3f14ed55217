"""The columns of the rows of ``murine masquerade``."""

from __future__ import annotations

from murine.atlas.column import NUMBER, Column, P

_ANIMALS = "in rows of animals"
_LAYER = f"{_ANIMALS}, and in those of all areas"
_NETWORK = "except in rows of the role `network`"
_SHARE = "share, 0 to 1"
_CKA = "CKA*"

MASQUERADE = {
    "task": Column("The identity of the answer: a digest of its whole configuration. It is the name of its file."),
    "network_digest": Column("Digest of the network that the answer is about."),
    "input_size": Column("Size of the images that entered it, as `HEIGHTxWIDTH`.", "pixels"),
    "cortex": Column("The data set or file."),
    "cortex_digest": Column("Digest of the recording."),
    "area": Column("The area, or `all areas`."),
    "windows": Column("`none`: whole layers are candidates; `thirds`: windows of their maps, too.", empty=_ANIMALS),
    "role": Column(
        "`network`; its controls `random twin`, `pixels` and `shuffled scenes`; or animals: `mice left out` (each "
        "among the others of its area), `mice of AREA` (each in another area than its own), `pooled mice` (one half of "
        "the mice, pooled, among the other half)."
    ),
    "network": Column("Name of the network or control.", empty=_ANIMALS),
    "weights": Column("Its weights, as in `scores`.", empty=_ANIMALS),
    "verdict": Column("`not a mouse`, `could be a mouse` or `cannot tell`.", empty=_NETWORK),
    "reason": Column("Why, as a clause.", empty=_NETWORK),
    "layer": Column("The layer of the candidate with the largest t.", empty=_LAYER),
    "window": Column("The window of its map.", empty=f"{_LAYER}; if the candidate is the whole layer"),
    "n_units": Column("Different units of the candidate that were compared.", NUMBER, _LAYER),
    "n_candidates": Column("Layers and windows.", NUMBER, _ANIMALS),
    "n_animals": Column(
        "Animals of the area; in rows of animals, animals that were placed.", NUMBER, "for pooled mice"
    ),
    "typicality": Column("T: mean similarity of the candidate to the animals.", _CKA, _LAYER),
    "mean": Column("Mean T of the animals, each with the candidate among the others.", _CKA, _LAYER),
    "deviation": Column("Standard deviation of that T over animals.", _CKA, _LAYER),
    "ratio": Column("`typicality` / `mean`.", "share of the animals' mean", _LAYER),
    "ratio_error": Column("Jackknife standard error of the ratio over animals.", "share of the animals' mean", _LAYER),
    "power_ratio": Column(
        "Ratio of a network that would be rejected in 80 % of cases.",
        "share of the animals' mean",
        f"{_LAYER}; if there are too few animals for a rejection",
    ),
    "t": Column(
        "How far the candidate is from the animals, by the error of a new animal; the mean in rows of animals.",
        "standard errors",
        "for animals left out in all areas",
    ),
    "p_student": Column("Probability of a smaller t by Student's distribution.", P, _LAYER),
    "p_pooled": Column("Rank of t among all real animals, each left out in its own area.", P, _LAYER),
    "p": Column("The larger of both; for all areas, the rank of the combined t among real animals.", P, _ANIMALS),
    "p_nested": Column("`p` with the candidate of each animal chosen on the others.", P, _ANIMALS),
    "p_first_half": Column(
        "`p` on the first half of the images (by id) of the candidate that is best on the second half.",
        P,
        f"{_NETWORK}; for all areas; if animals have no similarity for half of the images",
    ),
    "p_second_half": Column("The reverse.", P, "as `p_first_half`"),
    "share_rejected": Column(
        "Share of the animals that are rejected, each placed by itself.", _SHARE, "except in rows of animals; if pooled"
    ),
    "contrast": Column(
        "Similarity of the network less that of its random twins, mean over animals, each chosen on other animals.",
        _CKA,
        f"{_NETWORK}; without three random twins",
    ),
    "contrast_error": Column("Standard error of the contrast over animals.", _CKA, "as `contrast`"),
    "contrast_p": Column("Two-sided p-value of the contrast, by Student's t over animals.", P, "as `contrast`"),
    "alpha": Column("Level of the tests.", P),
    "seed": Column("Seed of trial halves, units, shuffled scenes and pools.", "seed"),
}
