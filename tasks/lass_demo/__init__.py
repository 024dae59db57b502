"""lass-demo: target sounds described in words or by example, all of them synthetic.

Every clip is made at run time from a recipe (see :mod:`.sounds`), so the task
needs no download. Its path is ``class/seed``. Seeds from
:data:`FIRST_TEST_SEED` on belong to this test; whoever trains on these recipes
must stay below it.
"""

FIRST_TEST_SEED = 1_000_000
"""Targets, interferers and queries of the trials all have seeds from here on."""
