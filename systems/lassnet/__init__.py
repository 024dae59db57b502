"""LASS-Net (Liu et al. 2022): the sound that a caption describes, by a residual U-Net under BERT's vector of it."""
