"""A run's answers into the rows of its batch."""

import numpy as np
from numba import types

from engine.dtypes.decisions import DECISIONS_TYPE, DecisionColumns
from engine.dtypes.rules import ANSWERS_TYPE, Answers
from engine.jit import kernel, read_only, writable
from engine.limits import NEVER_US, OFFERS_PER_ANSWER_MAX
from engine.reasons import STAGE_COUNT


@kernel(types.void(DECISIONS_TYPE, types.int64))
def clear_decisions(decisions: DecisionColumns, count: int) -> None:
    """Make the first `count` rows those of items that nothing was decided for."""
    for row in range(count):
        decisions.reason[row] = 0
        decisions.decision[row] = 0
        decisions.chosen_count[row] = decisions.would_be_count[row] = 0
        for seat in range(OFFERS_PER_ANSWER_MAX):
            decisions.chosen[row, seat] = decisions.would_be[row, seat] = -1
            decisions.score[row, seat] = 0.0
        for stage in range(STAGE_COUNT):
            decisions.stages[row, stage] = 0
        decisions.expires_us[row] = decisions.not_before_us[row] = decisions.deadline_us[row] = 0
        decisions.next_allowed_us[row] = NEVER_US
        decisions.language[row] = -1
        decisions.text_start[row] = decisions.text_bytes[row] = 0
        decisions.replayed[row] = decisions.conflict[row] = 0
        decisions.now_us[row] = 0


@kernel(
    types.int64(
        ANSWERS_TYPE, writable(np.int16), read_only(np.uint64), DECISIONS_TYPE, read_only(np.int64), types.int64
    ),
    apart=True,
)
def store_answers(
    answers: Answers,
    languages: np.ndarray,
    decision: np.ndarray,
    decisions: DecisionColumns,
    index: np.ndarray,
    settled: int,
) -> int:
    """Write the first `settled` items of a run, with (n,) languages and decision numbers, to rows `index` of their batch; return how many hold something."""
    held = 0
    for item in range(settled):
        row = index[item]
        decisions.reason[row] = answers.reason[item]
        decisions.decision[row] = decision[item]
        held += decision[item] != np.uint64(0)
        decisions.chosen_count[row] = answers.chosen_count[item]
        decisions.would_be_count[row] = answers.would_be_count[item]
        for seat in range(OFFERS_PER_ANSWER_MAX):
            decisions.chosen[row, seat] = answers.chosen[item, seat]
            decisions.score[row, seat] = answers.score[item, seat]
            decisions.would_be[row, seat] = answers.would_be[item, seat]
        for stage in range(STAGE_COUNT):
            decisions.stages[row, stage] = answers.stages[item, stage]
        decisions.expires_us[row] = answers.expires_us[item]
        decisions.not_before_us[row] = answers.not_before_us[item]
        decisions.deadline_us[row] = answers.deadline_us[item]
        decisions.next_allowed_us[row] = answers.next_allowed_us[item]
        decisions.language[row] = languages[item]
    return held
