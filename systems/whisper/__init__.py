"""Whisper on transformers: what the systems built on it share, and Whisper by itself as a system."""
