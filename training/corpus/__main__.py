"""Show what the house model is trained on: `python -m training.corpus --seed 1 --count 20`."""

import argparse

from training.corpus import ENTRIES, conversations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    for text in conversations(arguments.seed, arguments.count):
        print(f"--- {text.topic}")
        for turn in text.turns:
            print(f"{turn.role}: {turn.text}")
    print(f"({len(ENTRIES)} things to know)")


if __name__ == "__main__":
    main()
