"""The method of ``unpaired`` with clapsep-mini's networks, trained by this project: weights come with the package."""
