# SPDX-License-Identifier: BSD-2-Clause
"""The two sides as a table, the worst rows first; and Umbra's figures held against those that are kept."""

UMBRA = ("umbra 4K", "umbra 2M")
WORSE, SLACK = 1.05, 2  # times, and ticks that are no difference


def kvm_sides(figures):
    return [side for side in figures.sides if side not in UMBRA]


def is_same(mine, theirs):
    return abs(mine - theirs) <= max(SLACK, 0.05 * mine)


def ratios(mine, theirs):
    """[(KVM's figure through Umbra's, row)], the lowest first; then the rows in which neither has anything to do."""
    both = [(theirs[name] / mine[name], name) for name in mine if theirs.get(name) and mine[name]]
    work = sorted(pair for pair in both if not is_same(mine[pair[1]], theirs[pair[1]]))
    idle = [pair for pair in both if is_same(mine[pair[1]], theirs[pair[1]])]
    return work, idle


def ordered(figures):
    """[(ratio or None, row)] of all rows. Like is compared with like: both have their memory in 4K pages."""
    mine = figures.sides[UMBRA[0]].rows
    kvm = kvm_sides(figures)
    work, idle = ratios(mine, figures.sides[kvm[0]].rows if kvm else {})
    known = {name for _, name in work + idle}
    return work + idle + [(None, name) for name in mine if name not in known]


def shown(value):
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def cells(figures):
    """The table as rows of words, the heads first."""
    sides = [*UMBRA, *kvm_sides(figures)]
    yield ["row", *sides, "ratio"]
    for ratio, name in ordered(figures):
        yield [name, *[shown(figures.sides[side].rows.get(name)) for side in sides], f"{ratio:.1f}" if ratio else ""]


def growth_cells(figures):
    """What grows, a line for each row and side."""
    points = list(figures.sides[UMBRA[0]].growth)
    if not points:
        return
    yield ["row", "side", *points]
    for name in figures.sides[UMBRA[0]].growth[points[0]]:
        for side, of_side in figures.sides.items():
            if of_side.growth:
                yield [name, side, *[shown(of_side.growth.get(point, {}).get(name)) for point in points]]


def text(table, left=1):
    """In columns, the first of them to the left."""
    table = list(table)
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))] if table else []
    return "\n".join("  ".join(f"{word:{'<' if i < left else '>'}{widths[i]}}" for i, word in enumerate(line)).rstrip()
                     for line in table)


def changes(kept, now):
    """(worse, better): lines that name a row of Umbra's whose figure is not the kept one, or is missing."""
    worse, better = [], []
    for side in UMBRA:
        for name, was in kept.sides[side].rows.items():
            value = now.sides[side].rows.get(name)
            line = f"{name} ({side}): {shown(value) or 'missing'}, kept {shown(was)}"
            if value is None or value > was * WORSE + SLACK:
                worse.append(line)
            elif value * WORSE + SLACK < was:
                better.append(line)
        worse += [f"{name} ({side}): not kept" for name in now.sides[side].rows if name not in kept.sides[side].rows]
    return worse, better
