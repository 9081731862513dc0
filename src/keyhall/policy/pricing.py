"""Pricing: what a request costs, in whole numbers (R18).

A price is an integer number of micro-units of the currency per million tokens, a cost an integer
number of nano-units: tokens x (micro / 1,000,000) = tokens x price / 1,000 nano. The sum over input
and output is rounded up once, so a request never costs less than its tokens, nor a whole nano-unit
more. There is no floating point in it, and none may come near it.
"""

NANO_DIGITS = 9


def cost_nano(input_tokens: int, output_tokens: int, price_input: int, price_output: int) -> int:
    """Nano-units for these tokens at these prices (micro-units per million tokens)."""
    return (input_tokens * price_input + output_tokens * price_output + 999) // 1000


def decimal(amount: int, digits: int, thousands: str = ",") -> str:
    """Whole smallest units as a decimal with two places or as many as it has: 150000 micro-units
    (6 digits) are 0.15. Never rounded."""
    whole, fraction = divmod(abs(amount), 10**digits)
    sign = "-" if amount < 0 else ""
    shown = f"{whole:,}".replace(",", thousands)
    return f"{sign}{shown}.{f'{fraction:0{digits}d}'.rstrip('0').ljust(2, '0')}"
