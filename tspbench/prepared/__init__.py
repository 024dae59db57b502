"""Tasks that are made from a published list and the user's own copy of a corpus."""
