"""Dialects: one file per publication, each with a list ``DIALECTS`` (the contract is ``tspbench.dialect``)."""
