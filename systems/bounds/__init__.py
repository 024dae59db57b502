"""Rows that no other row can be read without: what is given, nothing, the truth, and ideal masks."""
