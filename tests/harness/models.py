# SPDX-License-Identifier: BSD-2-Clause
"""How each CPU model of both emulators ends: in a guest's shell, or in one sentence that says what is missing.

`make check` runs the ends that differ (QUICK); the group `models` runs all of them, and fails when an emulator has a model that
this table has not.
"""
import re
import subprocess

from . import systems
from .jobs import Job

LONG_MODE = "this CPU has no long mode (x86-64), which Umbra needs"
NO_NX = "the NX feature is missing"
NO_VMX = "this CPU has no VMX (VT-x): it cannot run guests"
NO_SVM = "this CPU has no SVM (AMD-V): it cannot run guests"
OTHER = "this CPU is neither AMD's nor Intel's"
SHELL = None
# QEMU 7.2: a MOV to CR4 that sets OSXSAVE is a #VMEXIT(-1) outside of any guest, again and again; a Linux on the bare emulator
# hangs in the same instruction. These CPUs have XOP and FMA4, of which TCG has none.
FAULT = "the emulator's own: MOV to CR4 with OSXSAVE never ends; a bare Linux hangs as well"
# Bochs 2.7: a 32-bit Linux has not come up within four minutes, where trinity_apu takes half a minute. The cause is not known.
UNKNOWN = "a Linux does not come up within four minutes, and the cause is not known"

# Emulator -> model (a pattern for the whole name) -> its end. The first that fits. QEMU's further versions of a model (-v2)
# are no models of their own here.
ENDS = {
    "qemu": (
        (r"486|athlon|coreduo|kvm32|n270|pentium[23]?|qemu32|base", LONG_MODE),
        (r"EPYC(-IBPB|-Rome|-Milan)?|Dhyana|phenom|max|Opteron_G[23]|qemu64", SHELL),
        (r"Opteron_G1", NO_SVM),
        (r"Opteron_G[45]", FAULT),
        (r"(Broadwell|Haswell|Skylake-(Client|Server))(-noTSX)?(-IBRS)?|(IvyBridge|Nehalem|SandyBridge|Westmere)(-IBRS)?|"
         r"(Cascadelake|Icelake)-Server(-noTSX)?|Conroe|Cooperlake|Denverton|KnightsMill|Penryn|Snowridge|core2duo|kvm64", NO_VMX),
    ),
    "bochs": (
        (r"pentium(_mmx)?|amd_k6_2_chomper|p2_klamath|p3_katmai|p4_willamette|core_duo_t2400_yonah|atom_n270", LONG_MODE),
        (r"p4_prescott_celeron_336", NO_VMX),
        (r"athlon64_(clawhammer|venice)", NO_SVM),
        (r"phenom_8650_toliman", UNKNOWN),
        (r"turion64_tyler|core2_penryn_t9600|bx_generic|zambezi|trinity_apu|ryzen|corei5_.*|corei7_.*|corei3_cnl|broadwell_ult|tigerlake", SHELL),
    ),
}
# Models of Bochs's that are AMD's.
AMD = re.compile(r"amd_k6_2_chomper|athlon64_.*|turion64_tyler|phenom_.*|zambezi|trinity_apu|ryzen")
# One for each end that is not seen elsewhere in a group, by the vendor of the target.
QUICK = {"amd": (("qemu", "athlon"), ("qemu", "Opteron_G1"), ("qemu", "qemu64")),
         "intel": (("bochs", "p4_willamette"), ("bochs", "p4_prescott_celeron_336"))}
HOST = "host"  # what KVM has: no model of the emulator's


def end_of(emulator, model):
    return next(end for pattern, end in ENDS[emulator] if re.fullmatch(pattern, model))


def names(emulator):
    """The models that the emulator itself lists."""
    if emulator == "qemu":
        out = subprocess.run(["qemu-system-x86_64", "-cpu", "help"], capture_output=True, text=True, check=True).stdout
        found = re.findall(r"^x86 (\S+)", out, re.M)
        return [name for name in found if not re.search(r"-v\d+$", name) and name != HOST]
    out = subprocess.run(["bochs-bin", "-help", "cpu"], capture_output=True, text=True, check=False)
    return re.findall(r"^([a-z]\w+)$", (out.stdout + out.stderr).partition("Supported CPU models:")[2], re.M)


def job(emulator, model):
    """A run of one model, on whichever machine has it."""
    end, vendor = end_of(emulator, model), "amd" if emulator == "qemu" or AMD.fullmatch(model) else "intel"
    options = ["--cpu", vendor, "--emulator", emulator, "--model", model]
    name = f"model-{emulator}-{model}"
    if end in (FAULT, UNKNOWN):
        return Job(name, [], not_here=end)
    if end is SHELL:
        argv = ["tools/umbra", "run", *options, "--timeout", "150", *systems.linux_words("686-pae", "vmlinux"), "--",
                f"{systems.SHARED} umbra=poweroff"]
        return Job(name, argv, timeout=700, stdout=systems.marker("686-pae", 1))
    argv = ["tools/umbra", "run", *options, "--timeout", "30", systems.HELLO]
    return Job(name, argv, timeout=150, status=102, stderr=[rf"^umbra: .*{re.escape(end)}", r"^umbra: exit status 102$"],
               absent=[r"^ok \d"])


def quick(target):
    for emulator, model in QUICK[target.cpu]:
        yield job(emulator, model)


def unknown(emulator):
    """Models that the table has not: a result that must be empty."""
    return [name for name in names(emulator) if not any(re.fullmatch(pattern, name) for pattern, _ in ENDS[emulator])]


def table_job():
    """Is each model of the emulators in the table?"""
    def run(_):
        missing = [f"{emulator}: {name}" for emulator in ENDS for name in unknown(emulator)]
        counts = " ".join(f"{emulator} {len(names(emulator))}" for emulator in ENDS)
        return (1 if missing else 0), f"# {counts}\n", "".join(f"not in the table: {name}\n" for name in missing)
    return Job("models-are-all-in-the-table", [], run=run)


def all_models():
    yield table_job()
    for emulator in ENDS:
        for name in names(emulator):
            if name not in unknown(emulator):
                yield job(emulator, name)
