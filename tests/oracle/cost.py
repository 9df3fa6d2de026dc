#!/usr/bin/env python3
"""Compares charges with exact fractions, and cost_usd with the reference's decimals.

cost_opg must be the exact quotient rounded up once. The reference divides in 28 significant digits
first, which may lose less than one atomic unit: its figure may be one lower, never higher. cost_usd
is its figure to the byte.
"""
import decimal
import fractions
import math
import random
import subprocess
import sys

WANTED = 20000
SEED = 20261127


def number(rnd, whole, decimals):
    text = str(rnd.randrange(10 ** rnd.randint(1, whole))) if rnd.random() < .5 else "0"
    places = rnd.randint(0, decimals)
    if places:
        text += "." + "".join(rnd.choice("0123456789") for _ in range(places))
    return text


def main():
    rnd = random.Random(SEED)
    decimal.getcontext().prec = 28
    rows = []
    while len(rows) < WANTED:
        price = number(rnd, 6, 20)
        if decimal.Decimal(price) == 0:
            continue
        tokens = [rnd.choice([0, 1, rnd.randrange(10 ** rnd.randint(1, 12))]) for _ in range(2)]
        rows.append((number(rnd, 3, 12), number(rnd, 3, 12), *tokens, price))
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    done = subprocess.run(sys.argv[1:], input=text, text=True, check=True, stdout=subprocess.PIPE)
    answers = done.stdout.splitlines()
    if len(answers) != WANTED:
        sys.exit(f"cost: {len(answers)} answers to {WANTED} questions")
    lower = 0
    for row, answer in zip(rows, answers):
        into, out, prompt, completion, price = row
        usd = fractions.Fraction(into) * prompt + fractions.Fraction(out) * completion
        units = math.ceil(usd / fractions.Fraction(price) * 10 ** 18)
        D = decimal.Decimal
        reference = (D(prompt) * D(into) + D(completion) * D(out)) / D(price) * D(10 ** 18)
        reference = int(reference.to_integral_value(decimal.ROUND_CEILING))
        shown = format(D(units) / D(10 ** 18) * D(price), "f")
        if answer != f"{units} {shown}":
            sys.exit(f"cost: {row}: {answer} instead of {units} {shown}")
        # With up to 28 digits the reference is exact but for what it rounded away.
        if units < 10 ** 27 and reference not in (units, units - 1):
            sys.exit(f"cost: {row}: the reference says {reference}, exact is {units}")
        lower += reference == units - 1
    print(f"cost: {WANTED} charges agree; the reference lost a unit in {lower}")


main()
