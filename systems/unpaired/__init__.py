"""Following captions without having been trained on any: text vectors are retrieved for unlabelled audio."""
