"""``python -m tspbench`` is ``tspbench``."""

from tspbench.cli import main

main()
