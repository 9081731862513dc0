"""How far two reviewers agree beyond chance: Cohen's kappa, as an exact fraction."""

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> Fraction | None:
    """Of what two people said of the same things: 1 for the same each time, 0 for what chance
    would give, less for worse. None where chance alone must agree (nothing was rated, or both gave
    one and the same rating throughout): nothing can be said then.

    >>> kappa([("yes", "yes"), ("no", "no"), ("yes", "no"), ("no", "no")])
    Fraction(1, 2)
    """
    count = len(pairs)
    same = sum(first == second for first, second in pairs)
    firsts, seconds = (Counter(pair[place] for pair in pairs) for place in (0, 1))
    by_chance = sum(firsts[each] * seconds[each] for each in firsts)
    if by_chance == count * count:
        return None
    return Fraction(count * same - by_chance, count * count - by_chance)
