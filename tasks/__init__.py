"""What systems are run on: one folder per task, with its declaration and its trial list."""
