"""tspbench: the benchmark for target sound processing."""
