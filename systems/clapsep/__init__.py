"""CLAPSep (Ma et al. 2024): the sound that captions and examples describe, by a mask over CLAP's own features."""
