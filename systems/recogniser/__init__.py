"""Bounds for target-speaker recognition: a plain recogniser on the mixture, and on the clean target."""
