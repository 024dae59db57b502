"""Reports: some runs of one task as a folder of files that a browser opens, with a page to listen to.

``runs`` reads and refuses, ``content`` is what the pages say, ``listening``
what they play, ``words`` how transcripts are marked, ``build`` writes the
folder, ``page/`` is the front end.
"""

from tspbench.report.build import AUDIO, Built, build

__all__ = ["AUDIO", "Built", "build"]
