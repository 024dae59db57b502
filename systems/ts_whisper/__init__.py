"""TS-Whisper: a frozen Whisper that prompts turn towards one speaker; and its baselines, LoRA and full tuning."""
