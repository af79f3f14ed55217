"""Bootstrap, permutation, jackknife, multiple testing, layer selection, ranking and noise ceilings."""
