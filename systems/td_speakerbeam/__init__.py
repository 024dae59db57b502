"""TD-SpeakerBeam (Delcroix et al. 2020): a Conv-TasNet told by an enrolment whose voice to keep."""
