"""BSRNN for target speaker extraction, as WeSep builds it (Wang et al. 2024): recurrent over time and over bands."""
