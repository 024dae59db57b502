"""AudioSep (Liu et al. 2023): the sound that a caption describes, by a residual U-Net under CLAP's vector of it."""
