"""The demo task tsasr-demo. See task.toml."""
