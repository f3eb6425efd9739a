# SPDX-License-Identifier: BSD-2-Clause
"""What is to be read of a run: a page with plots, and the document of what is kept. The plots are gnuplot's."""
import html
import os
import subprocess

from . import table
from .figures import kept_path, load

COLOURS = ("#1b6ca8", "#6fb1e0", "#c1440e", "#e0995e", "#7a7a7a")
PLOTTED = 44  # rows with work; more do not fit in one picture
HEAD = """Instructions of Umbra and of Linux' KVM for the same work: the same guest program, on the same emulated machine, which counts one tick of
its TSC for each instruction. Instructions are not time: what a CPU's own VM entry and exit, its page walks and its caches cost is not
in them; the costly instructions are therefore counted beside. Settings that are fair to KVM: mitigations off, no other process on its host,
memory of the guest there in 4K pages before it starts, a runner on KVM's own interface in the place of a virtual machine monitor.
Umbra has its memory in 4K pages ("umbra 4K", with which the ratio is), and as it is without an option ("umbra 2M"). Each host has one CPU; in rows with two
virtual CPUs these share it."""


def gnuplot(script):
    """The SVG that a script draws, without what stands before it in a file of its own."""
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=True)
    return done.stdout[done.stdout.index("<svg"):]


def block(name, lines):
    return f"${name} << EOD\n" + "".join(f"{line}\n" for line in lines) + "EOD\n"


def bars(figures):
    """All rows with work, the worst on top, on a logarithmic scale."""
    rows = [name for ratio, name in table.ordered(figures) if ratio and not abs(ratio - 1) < 0.05][:PLOTTED]
    if not rows:
        return ""
    sides = list(figures.sides)
    lines = [" ".join([f'"{name}"', *[str(max(figures.sides[side].rows.get(name, 0), 0.1)) for side in sides]]) for name in reversed(rows)]
    width = 0.8 / len(sides)
    offset = [(len(sides) / 2 - 0.5 - i) * width for i in range(len(sides))]
    labels = ", ".join(f'"{name}" {at}' for at, name in enumerate(reversed(rows)))
    plots = [f"$rows using (0.5*${i + 2}):($0+{offset[i]:.3f}):(0.5*${i + 2}):({width / 2:.3f}) with boxxyerror lc rgb '{COLOURS[i]}' "
             f"title '{side}'" for i, side in enumerate(sides)]
    return gnuplot(f"set terminal svg size 1100,{120 + 34 * len(rows)} font 'sans-serif,12' noenhanced background '#ffffff'\n"
                   f"{block('rows', lines)}set logscale x\nset xrange [1:*]\nset yrange [-0.7:{len(rows) - 0.3}]\nset style fill solid\n"
                   f"set grid x\nset key above\nset lmargin 28\nset format x '%.0s%c'\nset ytics ({labels})\nset xlabel 'instructions for each'\n"
                   f"plot {', '.join(plots)}\n")


def curves(figures, name, points):
    """How one row grows with memory, or with CPUs."""
    lines, plots = [], []
    labels = ["1 vCPU", *points[1:]] if points[-1].endswith("CPUs") else points
    sides = [side for side in figures.sides if all(figures.sides[side].growth.get(point) for point in points)]
    for i, side in enumerate(sides):
        values = [figures.sides[side].growth[point].get(name) for point in points]
        if None not in values:
            lines.append(block(f"s{i}", [f'"{point}" {value}' for point, value in zip(labels, values)]))
            plots.append(f"$s{i} using 0:2:xtic(1) with linespoints lw 2 pt 7 lc rgb '{COLOURS[i]}' title '{side}'")
    return gnuplot("set terminal svg size 540,330 font 'sans-serif,12' noenhanced background '#ffffff'\n"
                   f"{''.join(lines)}set logscale y\nset format y '%.0s%c'\nset grid y\nset key outside bottom horizontal\nset title '{name}'\n"
                   f"set xrange [-0.3:{len(points) - 0.7}]\nplot {', '.join(plots)}\n") if plots else ""


def growth_plots(figures):
    of_side = next(iter(figures.sides.values())).growth
    points = list(of_side)
    memory = [point for point in points if point.endswith("iB")]
    cpus = points[:1] + [point for point in points if point.endswith("CPUs")]
    names = list(of_side[points[0]]) if points else []
    return [curves(figures, name, memory) for name in names if name != "grow_cpuid"] + \
           [curves(figures, name, cpus) for name in names if name in ("grow_cpuid", "grow_touch_first", "grow_zap_pause")]


def costly_cells(figures):
    """Row -> costly instructions of Umbra's and of KVM's first sides."""
    sides = [table.UMBRA[0], *table.kvm_sides(figures)[:1]]
    if not all(figures.sides[side].costly for side in sides):
        return
    yield ["row", *sides]
    for ratio, name in table.ordered(figures):
        if ratio and not abs(ratio - 1) < 0.05:
            yield [name, *[", ".join(f"{count:g} {kind}" for kind, count in figures.sides[side].costly.get(name, {}).items()) for side in sides]]


def html_table(cells):
    cells = list(cells)
    if not cells:
        return ""
    lines = ["".join(f"<td>{html.escape(word)}</td>" for word in line) for line in cells[1:]]
    return (f"<table><tr>{''.join(f'<th>{html.escape(word)}</th>' for word in cells[0])}</tr>"
            f"{''.join(f'<tr>{line}</tr>' for line in lines)}</table>")


STYLE = """body { font: 15px/1.5 sans-serif; max-width: 1120px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; font-size: 13px } td, th { padding: 2px 10px; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child, .words td, .words th { text-align: left } svg { max-width: 100%; height: auto }
.plots { display: flex; flex-wrap: wrap; gap: 12px } pre { overflow-x: auto; background: #f5f5f5; padding: 8px; font-size: 12px }"""


def write_html(figures, path):
    """One file that needs no other."""
    facts = "".join(f"<li>{html.escape(name)}: {html.escape(text)}</li>" for name, text in figures.versions.items())
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Umbra beside KVM</title><style>{STYLE}</style></head><body>"
                   f"<h1>Umbra beside KVM ({figures.cpu})</h1><p>{html.escape(HEAD)}</p><ul><li>date: {figures.date}</li>{facts}</ul>"
                   f"<h2>Instructions for each, the worst rows first</h2>{bars(figures)}{html_table(table.cells(figures))}"
                   f"<h2>What grows with memory and CPUs</h2><div class='plots'>{''.join(growth_plots(figures))}</div>"
                   f"{html_table(table.growth_cells(figures))}"
                   f"<h2>Costly instructions for each</h2><div class='words'>{html_table(costly_cells(figures))}</div>"
                   f"<h2>Commands</h2><pre>{html.escape(chr(10).join(figures.commands))}</pre></body></html>\n")


def markdown_table(cells, left=1):
    cells = list(cells)
    if not cells:
        return ""
    lines = [cells[0], ["--" if i < left else "--:" for i in range(len(cells[0]))], *cells[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def section(figures):
    facts = "; ".join(f"{name}: {text}" for name, text in figures.versions.items())
    costly = markdown_table(costly_cells(figures), 3)
    growth = markdown_table(table.growth_cells(figures), 2)
    what = "KVM's figures and what grows" if table.kvm_sides(figures) else "Umbra alone, KVM has not been measured on this machine"
    return (f"## {figures.cpu}\n\n{what}: {figures.date}; {facts}\n\n{markdown_table(table.cells(figures))}\n"
            + (f"What grows with memory and CPUs; pauses are in all, the rest for each page or instruction:\n\n{growth}\n" if growth else "")
            + (f"Costly instructions for each, those of the guest too:\n\n{costly}\n" if costly else "")
            + "Commands (those of KVM run in the Linux that is its host):\n\n" + "".join(f"    {line}\n" for line in figures.commands) + "\n")


def write_document(path):
    """docs/benchmarks.md, of all that is kept."""
    kept = [load(kept_path(cpu)) for cpu in ("amd", "intel") if os.path.exists(kept_path(cpu))]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# Umbra beside KVM\n\n{HEAD}\n\nThe tables are written by `tools/bench --keep`. `make bench` measures both sides again;\n"
                   "`make bench QUICK=1` measures Umbra's alone, beside KVM's as they are kept.\n\n"
                   + "".join(section(figures) for figures in kept).rstrip("\n") + "\n")
