"""All questions of the exam, in the order in which they are asked."""

from training.exam import about_keys, about_limits, about_running, about_talk, about_wire
from training.exam.grader import Question

QUESTIONS: tuple[Question, ...] = (
    *about_keys.QUESTIONS,
    *about_limits.QUESTIONS,
    *about_wire.QUESTIONS,
    *about_running.QUESTIONS,
    *about_talk.QUESTIONS,
)
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(question.topic for question in QUESTIONS))
