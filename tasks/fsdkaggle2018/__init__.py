"""FSDKaggle2018, as CLAPSep mixes it. See task.toml."""
