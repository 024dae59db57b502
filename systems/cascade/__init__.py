"""Extraction, then recognition: two systems in a row."""
