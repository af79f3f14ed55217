"""Neural regression: ridge, PLS, the published protocol of Conwell et al. (2021), noise ceilings of neurons."""
