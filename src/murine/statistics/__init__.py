"""Statistics of scores: how much would a score change with other stimuli, neurons or animals, or by chance?

This room draws the bootstrap samples and permutations that all metrics share, and turns draws of scores into intervals,
p-values, rank bands and ceiled scores.
It knows only arrays of scores: the metrics are in `murine.similarity` and `murine.encoding`.
"""

from murine.statistics.animal_areas import combined_t, correlation_between_areas, p_over_areas
from murine.statistics.animal_test import (
    AnimalTest,
    check_animals,
    critical_t,
    critical_values,
    jackknife_errors,
    left_out,
    nested_choice,
    paired_contrast,
    place_candidates,
    pooled_p_values,
)
from murine.statistics.animal_verdicts import judge
from murine.statistics.bootstrap import (
    bootstrap_counts,
    leave_one_out_counts,
    pair_weights,
    percentile_interval,
)
from murine.statistics.crossed_bootstrap import (
    CrossedDraws,
    animal_counts,
    dual_variance,
    mean_over_neurons,
    neuron_counts,
)
from murine.statistics.folds import kfold
from murine.statistics.layer_selection import best_layer
from murine.statistics.multiple_testing import adjust_p_values, max_statistic_p_values
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.permutation import permutation_p_values, permutations, permuted_pairs
from murine.statistics.random_halves import count_trials, half_means, split_keys
from murine.statistics.ranking import better_probability, rank_bands, rank_probability, top_probability
from murine.statistics.standardisation import unit_length, zscore
from murine.statistics.variance_correction import correct_for_pairs, effective_n_stimuli, student_factor

__all__ = [
    "AnimalTest",
    "Ceiling",
    "CrossedDraws",
    "adjust_p_values",
    "animal_counts",
    "best_layer",
    "better_probability",
    "bootstrap_counts",
    "check_animals",
    "combined_t",
    "correct_for_pairs",
    "correlation_between_areas",
    "count_trials",
    "critical_t",
    "critical_values",
    "dual_variance",
    "effective_n_stimuli",
    "half_means",
    "jackknife_errors",
    "judge",
    "kfold",
    "leave_one_out_counts",
    "left_out",
    "max_statistic_p_values",
    "mean_over_neurons",
    "nested_choice",
    "neuron_counts",
    "p_over_areas",
    "pair_weights",
    "paired_contrast",
    "percentile_interval",
    "permutation_p_values",
    "permutations",
    "permuted_pairs",
    "place_candidates",
    "pooled_p_values",
    "rank_bands",
    "rank_probability",
    "split_keys",
    "student_factor",
    "top_probability",
    "unit_length",
    "zscore",
]
