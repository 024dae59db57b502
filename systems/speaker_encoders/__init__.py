"""Networks that turn a recording into a vector of its speaker, as parts of target speaker extraction systems."""
