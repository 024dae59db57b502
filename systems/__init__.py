"""The systems that come with tspbench: one folder each, found by their cards."""
