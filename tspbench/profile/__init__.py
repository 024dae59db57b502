"""What a system costs: time, memory, parameters, MACs, look-ahead. See :mod:`tspbench.profile.run`."""
