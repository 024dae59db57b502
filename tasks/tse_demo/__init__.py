"""The demo task tse-demo. See task.toml."""
