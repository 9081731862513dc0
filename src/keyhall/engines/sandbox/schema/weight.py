"""How long a value of the caller's would be as JSON, without writing it.

What a schema gives word for word, a `const` or a member of an enum, may be as long as a body. It is
weighed before it is written, and only as far as it could be afforded.
"""


def weight(value: object, most: int) -> int:
    """About how many characters it has; the count ends a little above `most`."""
    total = 0
    rest = [value]
    while rest and total <= most:
        each = rest.pop()
        if isinstance(each, str):
            total += len(each) + 2
        elif isinstance(each, int):
            total += 1 + each.bit_length() // 3
        elif isinstance(each, list):
            total += len(each) + 2
            rest.extend(each[: most + 1])
        elif isinstance(each, dict):
            total += 2
            for name, member in each.items():
                total += len(name) + 4
                if total > most:
                    break
                rest.append(member)
        else:
            total += 8
    return total
