"""The states of a job, as a machine that tries every move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.core.errors import IllegalTransition
from pipeline.core.jobs import (
    ENDED,
    JOB_ID,
    LEGAL,
    Counts,
    JobState,
    check_transition,
    job_id_for,
    new_job_id,
)

# As DESIGN draws them: forward, to cancelling from wherever it has not ended, and to failed likewise.
FORWARD = [JobState.ACCEPTED, JobState.PLANNING, JobState.RUNNING, JobState.COMPLETED]


class JobMachine(RuleBasedStateMachine):
    """Tries every move from wherever it is and keeps the legal ones."""

    def __init__(self) -> None:
        super().__init__()
        self.state = JobState.ACCEPTED
        self.path = [self.state]

    @rule(wanted=st.sampled_from(JobState))
    def move(self, wanted: JobState) -> None:
        try:
            check_transition(self.state, wanted)
        except IllegalTransition:
            assert wanted not in LEGAL[self.state]
            return
        self.state = wanted
        self.path.append(wanted)

    @invariant()
    def no_state_comes_twice(self) -> None:
        """So every job ends after a handful of moves."""
        assert len(self.path) == len(set(self.path))

    @invariant()
    def what_is_completed_was_planned_and_run(self) -> None:
        if self.state is JobState.COMPLETED:
            assert self.path == FORWARD

    @invariant()
    def only_cancelling_leads_to_cancelled_and_expired(self) -> None:
        if self.state in (JobState.CANCELLED, JobState.EXPIRED):
            assert self.path[-2] is JobState.CANCELLING

    @invariant()
    def an_end_is_in_reach_and_is_final(self) -> None:
        assert self.state.ended == (not LEGAL[self.state])
        assert self.state.ended or JobState.FAILED in LEGAL[self.state]


TestJobStates = JobMachine.TestCase


def test_every_state_is_there() -> None:
    """The table has every state, and paused is none."""
    assert set(LEGAL) == set(JobState)
    assert {state for state in JobState if state.ended} == ENDED
    assert "paused" not in set(JobState)


@given(st.sampled_from(sorted(ENDED)), st.sampled_from(JobState))
def test_what_has_ended_stays_so(ended: JobState, wanted: JobState) -> None:
    """No move leads out of an end, not even to itself; the error names both states."""
    with pytest.raises(IllegalTransition, match=f"{ended} cannot become {wanted}"):
        check_transition(ended, wanted)


@given(st.text(), st.text(), st.text(), st.text())
def test_an_idempotency_key_names_one_job_of_one_owner(
    owner: str, key: str, other_owner: str, other_key: str
) -> None:
    """The same owner and key give the same id, any others another one, wherever the line between them is."""
    job_id = job_id_for(owner, key)
    assert JOB_ID.match(job_id)
    assert job_id == job_id_for(owner, key)
    assert (job_id == job_id_for(other_owner, other_key)) == ((owner, key) == (other_owner, other_key))
    assert job_id_for("ann", f"b{key}") != job_id_for("annb", key)


def test_new_ids_differ() -> None:
    """Ids that nobody can guess."""
    ids = {new_job_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(JOB_ID.match(job_id) for job_id in ids)


@given(st.integers(0), st.integers(0), st.integers(0))
def test_counts_add_up(succeeded: int, failed: int, cancelled: int) -> None:
    """Done is what succeeded, failed or was cancelled."""
    counts = Counts(total=0, succeeded=succeeded, failed=failed, cancelled=cancelled)
    assert counts.done == succeeded + failed + cancelled
