#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The lints must be able to fail: each finds what is planted for it in a tree of a few files, and nothing else."""
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader

sys.dont_write_bytecode = True
LINT = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lint")
sys.path.insert(0, LINT)


def load(name):
    loader = SourceFileLoader(name, os.path.join(LINT, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Tree(unittest.TestCase):
    """A tree to plant files in."""
    lint = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = folder.name
        subprocess.run(["git", "init", "-q", self.top], check=True)

    def plant(self, path, *lines):
        path = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def outcome(self):
        run = subprocess.run([os.path.join(LINT, self.lint), self.top], check=False, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def assert_clean(self):
        status, text = self.outcome()
        self.assertEqual(status, 0, text)

    def assert_found(self, *breaches):
        """These lines, and no others beside the list of knots."""
        status, text = self.outcome()
        self.assertEqual(status, 1)
        self.assertEqual([line for line in text.splitlines() if not line.startswith(("a knot of", "    "))], list(breaches))


class Branches(unittest.TestCase):
    """A disassembly with all thunks and the branches that are allowed, and what is planted."""
    LINES = [f"ffffffff80100000 <__x86_indirect_thunk_r{n}>:" for n in range(15)] + [
        line for name in ("boot_long_mode", "ap_high") for line in (f"ffffffff80100000 <{name}>:", "a:\tff e0 \tjmp    *%rax")]

    def outcome(self, *lines):
        with tempfile.NamedTemporaryFile("w", suffix=".dis") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            run = subprocess.run([os.path.join(LINT, "branches"), file.name], check=False, capture_output=True, text=True)
        return run.returncode, [line.split(": ", 1)[1] for line in run.stdout.splitlines()]

    def test_what_is_allowed(self):
        self.assertEqual(self.outcome(*self.LINES, "b <walk>:", "b:\te8 \tcall   c <f>", "c:\teb \tjmp    c <walk>"), (0, []))

    def test_each_form(self):
        for branch, through in (("call   *%rax", "%rax"), ("jmp    *0x10(%rax)", "0x10(%rax)"), ("notrack jmp *%rdx", "%rdx"),
                                ("jmp    *-0x7feb03d0(,%rdx,8)", "-0x7feb03d0(,%rdx,8)"), ("callq  *(%rbx)", "(%rbx)")):
            self.assertEqual(self.outcome(*self.LINES, "b <walk>:", f"b:\tff \t{branch}"), (1, [f"walk branches through {through}"]))

    def test_another_file(self):
        self.assertEqual(self.outcome("nothing")[0], 1)

    def test_what_is_not_needed(self):
        self.assertEqual(self.outcome(*self.LINES[:-2]), (1, ["ap_high need not be allowed any more"]))


class Includes(Tree):
    lint = "includes"
    HEADERS = ("lib/a.h", "arch/x86/a.h", "arch/x86/regs.h", "drivers/a.h", "mm/a.h", "mm/shadow/a.h", "ept/a.h",
               "vmm/emulate/a.h", "vmm/dev/bus.h", "vmm/dev/apic/a.h", "vmm/dev/a.h", "vmm/dev/platform.h", "vmm/firmware/a.h",
               "vmm/load/a.h", "vmm/mmu.h", "vmm/a.h", "vmm/exit/a.h", "vmm/control/a.h", "boot/a.h")

    def setUp(self):
        super().setUp()
        for header in self.HEADERS:
            self.plant(header, "#include \"generated.h\"")

    def may_include(self, source):
        """The headers that the lint lets this source include."""
        self.plant(source, *(f'#include "{header}"' for header in self.HEADERS))
        text = self.outcome()[1]
        os.remove(os.path.join(self.top, source))
        return [header for header in self.HEADERS if f'"{header}" points upwards' not in text]

    def test_downwards(self):
        self.plant("boot/main.c", *(f'#include "{header}"' for header in self.HEADERS if not header.startswith(("ept", "mm/sh"))))
        self.assert_clean()

    def test_rooms(self):
        self.assertEqual(self.may_include("lib/x.c"), ["lib/a.h"])
        self.assertEqual(self.may_include("mm/x.c"), ["lib/a.h", "arch/x86/regs.h", "mm/a.h"])
        self.assertEqual(self.may_include("mm/shadow/x.c"), ["lib/a.h", "arch/x86/regs.h", "mm/a.h", "mm/shadow/a.h"])
        self.assertEqual(self.may_include("ept/x.c"), ["lib/a.h", "arch/x86/regs.h", "mm/a.h", "ept/a.h"])
        machine = ["lib/a.h", "arch/x86/a.h", "arch/x86/regs.h"]
        self.assertEqual(self.may_include("drivers/x.c"), [*machine, "drivers/a.h"])
        self.assertEqual(self.may_include("vmm/emulate/x.c"), [*machine, "vmm/emulate/a.h"])
        self.assertEqual(self.may_include("vmm/dev/apic/x.c"), [*machine, "vmm/dev/bus.h", "vmm/dev/apic/a.h"])
        self.assertEqual(self.may_include("vmm/dev/x.c"), [*machine, "mm/a.h", "vmm/dev/bus.h", "vmm/dev/a.h"])

    def test_who_knows_an_engine(self):
        engines = {"mm/shadow/a.h", "ept/a.h"}
        self.assertEqual(engines & set(self.may_include("vmm/mmu.c")), engines)
        for source in ("vmm/vm.c", "vmm/exit/x.c", "vmm/control/x.c", "boot/x.c"):
            self.assertEqual(engines & set(self.may_include(source)), set(), source)

    def test_above_the_devices(self):
        for source, highest in (("vmm/x.c", "vmm/a.h"), ("vmm/exit/x.c", "vmm/exit/a.h"), ("vmm/control/x.c", "vmm/control/a.h")):
            self.assertEqual(self.may_include(source)[-1], highest)

    def test_paths(self):
        self.plant("vmm/x.c", '#include "a.h"', '# include "../lib/a.h"', '#include "lib/none.h"', '#include "tests/a.h"')
        self.plant("tests/a.h")
        self.assert_found('vmm/x.c:2: "../lib/a.h" does not exist under the root',
                          'vmm/x.c:3: "lib/none.h" does not exist under the root',
                          'vmm/x.c:4: "tests/a.h" points upwards, from vmm to outside')


class NoSources(Tree):
    def test_nothing_to_look_at_is_a_breach(self):
        for self.lint in ("includes", "sizes", "paths"):
            self.assertEqual(self.outcome()[0], 1)


class Knots(Tree):
    lint = "knots"

    def setUp(self):
        super().setUp()
        self.knots = load("knots")
        for path, word in self.knots.POINTERS:
            self.plant(path, f"struct {word};")
        for number, (where, provider) in enumerate(self.knots.INVERSIONS):
            self.plant(where, f"void inverted{number}(void);")
            self.calls(os.path.join(os.path.dirname(where), f"user{number}.c"), f"inverted{number}")
            self.plant(provider, f"void inverted{number}(void) {{}}" if provider.endswith(".c") else
                       f".global inverted{number}; inverted{number}: ret")

    def calls(self, path, *callees):
        """A file with a function of its own name, which calls those of others."""
        name = os.path.basename(path)[:-2]
        self.plant(path, *(f"void {callee}(void);" for callee in callees),
                   f"void {name}(void) {{ {' '.join(callee + '();' for callee in callees)} }}")

    def outcome(self):
        for folder, _, names in os.walk(self.top):
            for name in names:
                source = os.path.join(folder, name)
                target = os.path.join(self.top, "build", os.path.relpath(source, self.top))
                if name.endswith((".c", ".S")):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    subprocess.run(["gcc", "-w", "-flto", "-c", source, "-o", target[:-1] + "o" if name.endswith(".c") else target + ".o"],
                                   check=True)
        return super().outcome()

    def circle(self, *names):
        for name, other in zip(names, names[1:] + names[:1]):
            self.calls(f"vmm/{name}.c", other)

    def test_downwards(self):
        self.calls("vmm/vm.c", "pit", "emulate")
        self.calls("vmm/dev/pit.c", "bus")
        self.calls("vmm/dev/bus.c")
        self.calls("vmm/emulate/emulate.c")
        self.assert_clean()
        self.assertNotIn("knot", self.outcome()[1])

    def test_upwards(self):
        self.calls("vmm/vm.c", "loop")
        self.calls("vmm/exit/loop.c")
        self.calls("vmm/dev/pit.c", "lapic")
        self.calls("vmm/dev/apic/lapic.c")
        self.calls("mm/walk.c", "tdp")
        self.calls("ept/tdp.c")
        self.assert_found("mm/walk.c: tdp() of ept/tdp.c points upwards, from mm to ept",
                          "vmm/dev/pit.c: lapic() of vmm/dev/apic/lapic.c points upwards, from vmm/dev to vmm/dev/apic",
                          "vmm/vm.c: loop() of vmm/exit/loop.c points upwards, from vmm to vmm/exit")

    def test_an_address_is_a_use(self):
        self.plant("lib/a.c", "void pit(void);", "void (*const hook)(void) = pit;")
        self.calls("vmm/dev/pit.c")
        self.assert_found("lib/a.c: pit() of vmm/dev/pit.c points upwards, from lib to vmm/dev")

    def test_small_knot_is_printed(self):
        self.circle("a", "b", "c", "d")
        self.assert_clean()
        self.assertEqual(self.outcome()[1].splitlines()[:2], ["a knot of 4 files:", "    vmm/a.c -> vmm/b.c: b"])

    def test_large_knot(self):
        self.circle("a", "b", "c", "d", "e")
        self.assert_found("more than 4 files use each other: vmm/a.c vmm/b.c vmm/c.c vmm/d.c vmm/e.c")

    def test_inversion_covers_what_its_header_names_and_no_more(self):
        where, provider = next(iter(self.knots.INVERSIONS))
        self.plant(provider, "void secret(void) {}")
        self.calls(os.path.join(os.path.dirname(where), "nosy.c"), "secret")
        status, text = self.outcome()
        self.assertEqual(status, 1)
        self.assertIn(f"nosy.c: secret() of {provider} points upwards", text)

    def test_inversion_that_is_none(self):
        where, provider = next(iter(self.knots.INVERSIONS))
        os.remove(os.path.join(self.top, os.path.dirname(where), "user0.c"))
        self.assert_found(f"{where}, {provider}: need not be an inversion any more")

    def test_inline_functions_of_the_one_that_picks_the_engine(self):
        self.calls("ept/tdp.c")
        self.calls("vmm/exit/loop.c", "tdp")
        self.assert_clean()
        self.calls("vmm/dev/pit.c", "tdp")
        self.assert_found("vmm/dev/pit.c: tdp() of ept/tdp.c points upwards, from vmm/dev to ept")

    def test_pointer_that_is_gone(self):
        path, word = next(iter(self.knots.POINTERS))
        os.remove(os.path.join(self.top, path))
        self.plant(path, "struct other;")
        self.assert_found(f"{path}: {word} is not there any more")

    def test_source_without_an_object(self):
        self.outcome()
        self.plant("vmm/late.c", "int late;")
        status, text = Tree.outcome(self)
        self.assertEqual(status, 1)
        self.assertIn("knots: vmm/late.c has no object", text)


class Sizes(Tree):
    lint = "sizes"

    def setUp(self):
        super().setUp()
        for path, name in load("sizes").LONG:
            self.function(path, name, 61)

    def function(self, path, name, length):
        self.plant(path, f"static int {name}(int a,", "\t\tint b)", "{", *["\ta++;"] * (length - 4), "}")

    def test_within(self):
        self.function("vmm/a.c", "largest", 60)
        self.plant("tests/unit/test_a.c", *["int a;"] * 700)
        self.plant("docs/a.md", *["words"] * 701)
        self.assert_clean()

    def test_files(self):
        for path in ("vmm/a.h", "tests/unit/test_a.c", "tools/a.py", "Makefile"):
            self.plant(path, *["x"] * 701)
        self.plant("tools/script", "#!/bin/sh", *[":"] * 700)
        self.assert_found("Makefile: 701 lines", "tests/unit/test_a.c: 701 lines", "tools/a.py: 701 lines",
                          "tools/script: 701 lines", "vmm/a.h: 701 lines")

    def test_functions(self):
        self.function("vmm/a.c", "short_one", 10)
        self.function("vmm/a.c", "long_one", 61)
        self.function("mm/a_tmpl.h", "long_two", 100)
        self.function("tests/unit/test_a.c", "is_free", 100)
        self.assert_found("mm/a_tmpl.h:1: long_two() has 100 lines", "vmm/a.c:11: long_one() has 61 lines")

    def test_data_is_no_function(self):
        self.plant("vmm/a.c", "static const int a[] = {", *["\t1,"] * 100, "};", "struct a {", *["\tint b;"] * 100, "};")
        self.assert_clean()

    def test_exception_that_is_none(self):
        path, name = next(iter(load("sizes").LONG))
        os.remove(os.path.join(self.top, path))
        self.assert_found(f"{path}: {name}() need not be long any more")


class Paths(Tree):
    lint = "paths"

    def setUp(self):
        super().setUp()
        self.plant("vmm/exit/io.h", "void io_init(void);", "static inline void io_exit(int a,", "\t\t\t   int b)", "{", "\tio_count(a);", "}")
        self.plant("vmm/vm.c", "/* The end of a VM. */", "void vm_end(void)", "{", "}")
        self.plant("boot/entry.S", "boot_start:", "\tENTER vmx_launch, vmlaunch")
        self.plant("docs/architecture.md", "| `boot/` | start | `entry.S` |", "| `vmm/` | VMs | `vm.c` ... |")

    def test_all_there(self):
        self.plant("vmm/a.c", "/* vmm/exit/io.h, vm.c, vmm/, vmm/exit/*.h, vmm/exit/test_NAME.c; vmm/nested/; `io_exit() in vmm/exit/io.h`. */",
                   'const char *b = "vmm/none.c";')
        self.plant("docs/b.md", "See `vm.c`, ~/kvm/tests/none.c, build/vmm/none.o `vm_end()` in `vmm/vm.c`, `io_init()` in `vmm/exit/io.h`.")
        self.plant("docs/architecture.md", "", "1. `io_exit()` (`vmm/exit/io.h`), `vmm/vm.c`, `vm_end()`, `boot/entry.S`: `boot_start()`,", "   `vmx_launch()`.")
        self.assert_clean()

    def test_comments(self):
        self.plant("vmm/a.c", "int a;", "/*", " * See vmm/none.c.", " */", "// and none.h", "/* io.h is a neighbour of others */")
        self.plant("tests/unit/a.h", "/* io.h */", "/* vmm/exi/ */")
        self.plant("tests/a.py", "# tests/none", '"""tools/none"""')
        self.assert_found("tests/a.py:1: there is no tests/none", "tests/a.py:2: there is no tools/none",
                          "tests/unit/a.h:2: there is no vmm/exi/", "vmm/a.c:3: there is no vmm/none.c",
                          "vmm/a.c:5: there is no none.h", "vmm/a.c:6: there is no io.h")

    def test_documents(self):
        self.plant("README.md", "`vmm/none.c`", "`vmm/exit/x*.h`", "`io_count()` in `vmm/exit/io.h`")
        self.assert_found("README.md:1: there is no vmm/none.c", "README.md:2: there is no vmm/exit/x*.h",
                          "README.md:3: io_count() is not in vmm/exit/io.h")

    def test_steps_of_the_map(self):
        self.plant("docs/architecture.md", "", "1. `vm_end()` comes first; `vmm/exit/io.h`, `vm_end()`.", "2. `io_exit()` (`vmm/vm.c`)")
        self.assert_found("docs/architecture.md:4: no file is named beside vm_end()",
                          "docs/architecture.md:4: vm_end() is not defined in vmm/exit/io.h",
                          "docs/architecture.md:5: io_exit() is not defined in vmm/vm.c")

    def test_rooms_of_the_map(self):
        self.plant("vmm/load/elf.c")
        self.plant("vmm/exit/loop.c")
        self.plant("vmm/exit/insn_a.c")
        self.plant("docs/architecture.md", "| `vmm/exit/` | exits | `vm.c`, `insn*.c` |")
        self.assert_found("docs/architecture.md:1: vmm/load/ is not in the map", "docs/architecture.md:3: there is no vmm/exit/vm.c",
                          "docs/architecture.md:3: vmm/exit/loop.c is not in the map")

    def test_folder_that_has_come(self):
        self.plant("vmm/nested/a.c")
        self.plant("docs/architecture.md", "| `vmm/nested/` | nested | `a.c` |")
        self.assert_found("vmm/nested is there: it need not be in LATER any more")


if __name__ == "__main__":
    unittest.main()
