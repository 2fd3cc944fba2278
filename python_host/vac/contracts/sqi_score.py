"""sqi_score: how good a mutation turned out."""

from __future__ import annotations

from typing import ClassVar, Literal

from .contract import Contract, Finite, Name, Score, Timestamp


class SqiScore(Contract):
    """The score of one mutation."""

    NAME: ClassVar[str] = "sqi_score"

    type: Literal["sqi_score"] = "sqi_score"
    version: Literal[1] = 1
    timestamp: Timestamp
    mutation_id: Name
    container_id: str
    goal_match_score: Score
    rewrite_success_prob: Score
    entropy_delta: Finite
