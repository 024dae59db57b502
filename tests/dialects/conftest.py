"""Lets the tests here import pairs.py and texts.py, which the script that runs published code imports too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
