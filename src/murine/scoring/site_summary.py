"""A table of the sites of a data set: how many neurons and repetitions, and how reliable they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.scoring.site_preparation import make_site_data
from murine.statistics.bootstrap import bootstrap_counts


def site_reliability_table(responses: Recording | NeuralRDMs, by: Sequence[str]) -> pd.DataFrame:
    """Tell of each site how many neurons it has, and its noise ceiling.

    Parameters
    ----------
    responses
        Neurons with constant or no responses are left out, which the log tells.
    by
        What makes a site: labels of neurons, as ``("area", "layer")``.

    Returns
    -------
    table
        A row for each site: site, n_neuroids, n_repetitions, n_stimuli, ceiling (of Pearson's r between matrices of
        dissimilarities) with ``ceiling_low`` and ``ceiling_high`` over 1,000 samples of stimuli, and of single neurons
        also ``neuron_reliability_median`` (split-half). What is not defined is NaN.

    Raises
    ------
    MurineError
        If a label does not exist, or no neuron can be used.
    """
    if isinstance(responses, Recording):
        responses = responses.usable()[0]
    site_data = make_site_data(responses, tuple(by))
    ceiling = site_data.ceiling("r", bootstrap_counts(len(site_data.stimulus_ids), 1000, 0))
    low, high = ceiling.interval()
    table = pd.DataFrame(
        {
            "site": [site.name for site in site_data.sites],
            "n_neuroids": site_data.n_neuroids,
            "n_repetitions": site_data.n_repetitions,
            "n_stimuli": len(site_data.stimulus_ids),
            "ceiling": ceiling.value,
            "ceiling_low": low,
            "ceiling_high": high,
        }
    )
    if isinstance(responses, Recording):
        reliability = split_half(responses.responses)
        members = responses.sites(*by).values()
        table["neuron_reliability_median"] = [float(np.nanmedian(reliability[m])) for m in members]
    return table
