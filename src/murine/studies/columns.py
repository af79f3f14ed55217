"""The meaning of every column of the tables of the studies, with its unit and when it is empty."""

from __future__ import annotations

from murine.atlas.contrasts import COLUMNS as CONTRAST_COLUMNS
from murine.atlas.depth_order import COLUMNS as DEPTH_COLUMNS
from murine.atlas.network_predictors import COLUMNS as NETWORK_COLUMNS
from murine.statistics.predictor_regression import COLUMNS as REGRESSION_COLUMNS

MICE_TO_MACHINES = {
    "network": "Name of the network.",
    "weights": "Its weights.",
    "neuroid_id": "Neuron.",
    "group": "Site of the neurons: area or Cre line.",
    "kind": "area, cre_line or cell_class.",
    "layer": "Layer that is nearest to the site.",
    "rmse": "RMSE of the neuron's map to that of its nearest unit, maps of unit length, times side / 11.",
    "rmse_shuffled": "The same with the stimuli of the responses shuffled: chance.",
    "before": "Mean RMSE without NeuRN.",
    "after": "Mean RMSE with NeuRN at the input.",
    "difference": "With minus without; below zero: NeuRN brings units nearer. For accuracies: in per cent.",
    "low": "Lower end of the 95 % interval.",
    "high": "Upper end of the 95 % interval.",
    "n_neuroids": "Number of neurons; of the choice, those that are chosen.",
    "n_available": "Number of neurons that could be chosen.",
    "overlap": "Overlap of the densities of the cells of a neuron's map and of its nearest unit's, with NeuRN: 0 to 1.",
    "n_networks": "Number of networks.",
    "first": "First network of a pair.",
    "second": "Second network of a pair.",
    "published": "Published value.",
    "ours": "Our value.",
    "item": "What the value is of.",
    "variant": "Variant of training.",
    "source": "Domain that the network was trained on.",
    "target": "Domain that it met.",
    "accuracy": "Accuracy in per cent, mean over seeds.",
}

RODENT_TASKONOMY = {
    **CONTRAST_COLUMNS,
    **DEPTH_COLUMNS,
    **NETWORK_COLUMNS,
    **REGRESSION_COLUMNS,
    "item": "What a value is of.",
    "published": "Published value.",
    "ours": "Our value.",
    "network": "Name of the network.",
    "weights": "Its weights.",
    "value": "Score: mean over sites, as a share of the ceiling where there is one.",
    "depth": "Relative depth of the chosen layer: 0 is the first, 1 the last.",
    "protocol": "Score by the published protocol: the best layer on the same stimuli.",
    "cluster": "Cluster of the task of an encoder of Taskonomy, as published.",
    "site": "Site, or group of neurons, or all sites for their mean.",
    "score": "Raw score of the chosen layer.",
    "ceiling": "Noise ceiling of the score; empty where there is none.",
    "ceiled": "Score as a share of the ceiling; empty where there is none.",
    "n_neuroids": "Number of neurons.",
    "other_metric": "The metric that the first one is correlated with.",
    "n_networks": "Number of networks.",
    "r": "Pearson's correlation over networks.",
    "r_low": "Lower end of its 95 % interval.",
    "r_high": "Upper end of its 95 % interval.",
    "rho": "Spearman's correlation over networks.",
    "rho_low": "Lower end of its 95 % interval.",
    "rho_high": "Upper end of its 95 % interval.",
}

CONTRASTS = {
    **CONTRAST_COLUMNS,
    "networks": "Networks that differ only by chance.",
    "spread": "Standard deviation of their scores (mean over sites); empty with fewer than two.",
    "n_networks": "Their number.",
    "in_spreads": "The difference, in standard deviations between random seeds; empty where that is not known.",
}
