"""cpWER of one mixture: several answers, each put to the speaker whose words it fits best."""

from __future__ import annotations

from collections.abc import Sequence

from tspbench.errors import MissingExtra
from tspbench.metrics.edits import Edits


def cpwer(references: Sequence[str], hypotheses: Sequence[str]) -> Edits:
    """Concatenated minimum-permutation word errors, by meeteval.

    Parameters
    ----------
    references, hypotheses
        One text for each speaker and each answer, already brought to one
        spelling. Where there are more of one, the others are empty texts.

    Raises
    ------
    MissingExtra
        meeteval is not installed.

    Notes
    -----
    Source: Watanabe et al., "CHiME-6 challenge: tackling multispeaker speech
    recognition for unsegmented recordings", CHiME 2020; von Neumann et al.,
    "MeetEval: a toolkit for computation of word error rates for meeting
    transcription systems", CHiME 2023.
    """
    try:
        import meeteval
    except ImportError as error:
        raise MissingExtra("cpWER", "meeteval") from error
    found = meeteval.wer.cp_word_error_rate(
        list(references), list(hypotheses), reference_sort=False, hypothesis_sort=False
    )
    return Edits(int(found.substitutions), int(found.deletions), int(found.insertions), int(found.length))
