"""Leaderboards: a pure function of sealed results (measured here) and of published numbers (as reported).

``root/results/<task>/<system>.json``  sealed results, one for each system on each task
``root/results/systems.json``          what the systems' cards declared when they were added
``root/reported/*.csv``                published numbers
``root/corpora.csv``                   which training corpora overlap with which tests
``root/*.md *.csv *.json index.html``  built from the above; ``built.json`` lists them
"""

from tspbench.leaderboard.add import add
from tspbench.leaderboard.build import Built, build

__all__ = ["Built", "add", "build"]
