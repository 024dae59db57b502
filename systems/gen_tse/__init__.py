"""Generative target speaker extraction on Whisper (Ma et al. 2025): flow matching beside a text decoder."""
