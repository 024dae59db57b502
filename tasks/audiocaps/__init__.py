"""AudioCaps, as CLAPSep and AudioSep mix it. See task.toml."""
