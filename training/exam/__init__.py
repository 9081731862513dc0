"""The exam of the house model: questions, and how their answers are graded.

It was written before any training text. The corpus generator does not read it; the one thing that
does is the check that training texts share no run of eight words with a question (`overlap.py`).
"""

from training.exam.grader import Grade, Question, grade
from training.exam.questions import QUESTIONS, TOPICS

__all__ = ["Grade", "Question", "grade", "QUESTIONS", "TOPICS"]
