# SPDX-License-Identifier: BSD-2-Clause
"""What whole systems are made of: files, words for kernels, and the usual run of a Linux guest."""
KERNELS = "build/kernels"
MADE = "build/boot"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
HELLO = "build/guest/hello.elf"  # a small guest that does well
QUICK = "console=ttyS0 quiet cryptomgr.notests"
# For a vCPU that may have to wait for its CPU: Linux panics if too few of the 8254's ticks come in some 60 ms.
SHARED = f"{QUICK} no_timer_check"

# name: initramfs, memory
LINUX = {"cloud": ("amd64", "256M"), "amd64": ("amd64", "256M"), "686": ("i386", "128M"), "686-pae": ("i386", "128M")}


def linux_words(name, form, vcpus=1):
    initrd, mem = LINUX[name]
    return ["--initrd", f"{KERNELS}/initrd-{initrd}", "--mem", mem, "--vcpus", str(vcpus), f"{KERNELS}/{name}.{form}"]


def marker(name, cpus, prefix=""):
    kernel = {"cloud": "cloud-amd64"}.get(name, name)
    return [rf"^{prefix}UMBRA-GUEST-OK cpus={cpus} mem=\d+K kernel=\S*-{kernel}\r?$"]


def linux_job(target, boot, name, vcpus, words=QUICK, options=()):
    """A kernel that comes up, runs a process on each of its CPUs, and switches itself off."""
    return target.job(f"linux-{name}-{boot}-{vcpus}cpu", "--boot", boot, *options,
                      *linux_words(name, target.form(name, boot), vcpus), "--",
                      f"{words} umbra=poweroff", stderr=[r"^umbra: exit status 0$"],
                      stdout=marker(name, vcpus) + [f"^UMBRA-CPU-OK {cpu}\r?$" for cpu in range(vcpus)])
