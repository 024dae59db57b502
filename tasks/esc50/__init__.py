"""ESC-50, as CLAPSep and AudioSep mix it. See task.toml."""
