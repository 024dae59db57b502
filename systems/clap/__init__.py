"""LAION's CLAP as the encoder of captions and of sounds, shared by the systems that are told by either."""
