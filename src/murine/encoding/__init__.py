"""Neural regression: how well do the features of a layer predict the responses of single neurons?

This room fits ridge and PLS regression with cross-validation, reproduces the protocol of Conwell et al. (2021), and
scores the predictions of each neuron.
It also computes the noise ceilings of neurons, null correlations and bootstrap draws of scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.encoding.conwell2021 import conwell2021_regression as conwell2021_regression
    from murine.encoding.conwell2021 import project_features as project_features
    from murine.encoding.cross_validation import split_stimuli as split_stimuli
    from murine.encoding.estimators import PLSRegressor as PLSRegressor
    from murine.encoding.estimators import RidgeRegressor as RidgeRegressor
    from murine.encoding.jackknife import resample_neuron_scores as resample_neuron_scores
    from murine.encoding.jackknife import resample_site_scores as resample_site_scores
    from murine.encoding.kernels import centre_layer_grams as centre_layer_grams
    from murine.encoding.neuron_ceilings import mean_ceilings as mean_ceilings
    from murine.encoding.neuron_ceilings import neuron_ceiling as neuron_ceiling
    from murine.encoding.null_correlation import null_correlations as null_correlations
    from murine.encoding.null_correlation import rescale_above_null as rescale_above_null
    from murine.encoding.pls import PLSFolds as PLSFolds
    from murine.encoding.pls import pls_correlations as pls_correlations
    from murine.encoding.pls import pls_cv as pls_cv
    from murine.encoding.pls import pls_operators as pls_operators
    from murine.encoding.prediction_operators import correlate_predictions as correlate_predictions
    from murine.encoding.prediction_operators import permute_correlations as permute_correlations
    from murine.encoding.prediction_scores import correlations as correlations
    from murine.encoding.prediction_scores import explained_variance as explained_variance
    from murine.encoding.prediction_scores import r2 as r2
    from murine.encoding.reliability import neuron_reliability as neuron_reliability
    from murine.encoding.reliability import oracle_correlation as oracle_correlation
    from murine.encoding.reliability import oracle_reliability as oracle_reliability
    from murine.encoding.ridge import ridge_correlations as ridge_correlations
    from murine.encoding.ridge import ridge_cv as ridge_cv
    from murine.encoding.ridge import ridge_loo as ridge_loo
    from murine.encoding.ridge import ridge_loo_operators as ridge_loo_operators
    from murine.encoding.ridge_spectrum import Spectrum as Spectrum
    from murine.encoding.ridge_spectrum import projection_gains as projection_gains

__getattr__, __dir__, __all__ = lazy_exports(__name__)
