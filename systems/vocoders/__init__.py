"""Networks that turn mel spectra into waveforms, shared by the systems that generate speech."""
