# SPDX-License-Identifier: BSD-2-Clause
# Umbra: one Makefile, no configure. `make help` lists what it can do.

BUILD   ?= build
HOSTCC  ?= gcc
CLANG   ?= clang
LD      := ld
OBJCOPY := objcopy
OBJDUMP := objdump
ifeq ($(origin CC),default)
CC := gcc
endif
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@printf '  %-7s %s\n' $(1) $(or $(2),$@))

# What this goal needs of the machine; a few milliseconds when it is all there.
TEST_GROUPS := lint clang tools unit race model fuzz guests guests-shadow guests-shadow-intel guests-shadow-all guests-shadow-intel-all guests-intel guests-ryzen guests-nested guests-nested-all guests-nested-intel boot boot-intel
is_goal = $(filter $(1),$(MAKECMDGOALS))
NEEDS := $(if $(call is_goal,check bench $(TEST_GROUPS) %-programs lint-%),check,$(if $(call is_goal,run iso kernels),run,build))
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell tools/setup $(NEEDS) && echo ok),ok)
$(error the set-up is not complete)
endif
endif

WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef \
        -Wpointer-arith -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wredundant-decls \
        -Wno-unused-parameter -Wno-missing-field-initializers

# --- the hypervisor -----------------------------------------------------------------------
NEWLIB ?= $(BUILD)/newlib
ARCHFLAGS := -m64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie \
             -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
             -fstack-protector-strong -mstack-protector-guard=global
CFLAGS := -std=gnu17 -O2 -g -ffreestanding -fbuiltin -fno-common -ffunction-sections -fdata-sections \
          -fno-strict-aliasing $(ARCHFLAGS) $(WARN) -I. -I$(BUILD) \
          -Dsnprintf=sniprintf -Dvsnprintf=vsniprintf \
          -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
          -isystem $(NEWLIB)/inc -isystem $(NEWLIB)/src/libc/include

# No branch through a register or memory whose target a guest could have taught the CPU to predict:
# arch/x86/thunks.S, and tests/lint/branches. (clang has another name for it.)
THUNKS := -fno-jump-tables $(if $(findstring clang,$(CC)),-mretpoline -mretpoline-external-thunk,-mindirect-branch=thunk-extern -mindirect-branch-register)
CFLAGS += $(THUNKS)

# gcc optimises across files: the exit path is spread over a dozen of them. (clang's way to do that
# needs another linker.)
LTO := $(if $(findstring clang,$(CC)),,-flto)
CFLAGS += $(LTO)

SRCS := $(sort $(wildcard lib/*.c arch/x86/*.c arch/x86/*/*.c mm/*.c mm/*/*.c ept/*.c vmm/*.c vmm/*/*.c vmm/*/*/*.c drivers/*.c boot/*.c))
ASMS := $(sort $(wildcard arch/x86/*.S arch/x86/*/*.S boot/*.S))
OBJS := $(SRCS:%.c=$(BUILD)/%.o) $(ASMS:%.S=$(BUILD)/%.S.o)

# In the root for editors; other builds keep their own.
COMMANDS := $(if $(filter build,$(BUILD)),,$(BUILD)/)compile_commands.json

#: make            the hypervisor: build/umbra.elf, its disassembly (.dis) and symbols (.sym)
all: $(BUILD)/umbra.elf $(BUILD)/bootdisk.bin $(COMMANDS)

comma := ,
LDFLAGS := -z max-page-size=4096 -z noexecstack --gc-sections --build-id=none
LINK := $(if $(LTO),$(CC) $(CFLAGS) $(LTO)=auto -static -no-pie $(foreach f,$(LDFLAGS),-Wl$(comma)$(f)),$(LD) $(LDFLAGS)) \
        -nostdlib -T linker.ld

# Linked twice: the second time with the table of symbols that the first gave (at the end of the
# constants, so that no function's address changes).
$(BUILD)/symbols0.S: tools/symbols
	@mkdir -p $(@D)
	$(Q)$< </dev/null >$@

$(BUILD)/umbra0.elf: $(OBJS) $(BUILD)/symbols0.o $(NEWLIB)/libc.a linker.ld
	$(Q)$(LINK) -o $@ $(OBJS) $(BUILD)/symbols0.o $(NEWLIB)/libc.a

$(BUILD)/symbols1.S: $(BUILD)/umbra0.elf tools/symbols
	$(Q)nm -n $< | tools/symbols >$@

$(BUILD)/symbols%.o: $(BUILD)/symbols%.S
	$(Q)$(CC) -m64 -c $< -o $@

# The image, with its disassembly and its symbols beside it.
$(BUILD)/umbra.elf: $(BUILD)/symbols1.o
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $(OBJS) $< $(NEWLIB)/libc.a
	$(Q)$(OBJDUMP) -d $@ > $(@:.elf=.dis)
	$(Q)nm -n $@ > $(@:.elf=.sym)

$(BUILD)/%.o: %.c Makefile $(NEWLIB)/libc.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.S.o: %.S Makefile $(NEWLIB)/libc.a
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) $(CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

$(NEWLIB)/libc.a: tools/build-newlib
	$(call say,NEWLIB)
	$(Q)tools/build-newlib $(NEWLIB) -m64 -mcmodel=kernel -mno-red-zone

$(COMMANDS): Makefile $(SRCS)
	@printf '%s\n' $(SRCS) | awk -v cmd='$(CC) $(CFLAGS) -c' 'BEGIN { printf "[" } \
		{ printf "%s\n{\"directory\": \"$(CURDIR)\", \"file\": \"%s\", \"command\": \"%s %s\"}", s, $$0, cmd, $$0; s = "," } \
		END { print "\n]" }' > $@

# The guests' ACPI namespace, as an array.
$(BUILD)/dsdt.h: vmm/firmware/dsdt.asl
	@mkdir -p $(@D)
	$(call say,IASL)
	$(Q)iasl -vs -p $(@:.h=) $< > $(@:.h=.log) || { cat $(@:.h=.log) >&2; exit 1; }
	$(Q){ echo "static const unsigned char dsdt_aml_code[] = {"; od -An -v -tx1 $(@:.h=.aml) | sed 's/ \(..\)/0x\1,/g'; echo "};"; } > $@
$(addsuffix vmm/firmware/acpi_tables.o,$(BUILD)/ $(BUILD)/unit/obj/ $(BUILD)/race/obj/ $(BUILD)/fuzz/obj/): $(BUILD)/dsdt.h

# What guests without a firmware have for a BIOS, of 16 bits, as an array.
BIOS_OBJS := $(patsubst %,$(BUILD)/bios/%.o,start screen system devices keys time)
$(BUILD)/bios/%.o: vmm/firmware/bios/%.S vmm/firmware/bios/frame.inc Makefile
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -m32 -I. -c -o $@ $<
$(BUILD)/bios.h: $(BIOS_OBJS)
	$(call say,BIOS)
	$(Q)$(LD) -m elf_i386 --oformat binary -Ttext 0x8000 -e bios -o $(@:.h=.bin) $^
	$(Q){ echo "static const unsigned char bios_code[] = {"; od -An -v -tx1 $(@:.h=.bin) | sed 's/ \(..\)/0x\1,/g'; echo "};"; } > $@
$(addsuffix vmm/firmware/bios_area.o,$(BUILD)/ $(BUILD)/unit/obj/ $(BUILD)/race/obj/ $(BUILD)/fuzz/obj/): $(BUILD)/bios.h

# --- hosted: the same sources for the build machine, with its own libc ------------------------
# All but what works on a real CPU, or has its own test with an instruction's effect faked (below).
HOST_NOT := lib/libc_glue.c \
            $(addprefix vmm/,cpuid_host.c mm_host.c sched.c turn.c vcpu_load.c wall_clock.c control/cpu_loop.c control/start.c) \
            $(addprefix vmm/exit/,insn.c insn_callbacks.c insn_code.c insn_memory.c loop_svm.c loop_vmx.c realmode.c task_switch.c xcr.c)
HOST_SRCS := $(filter-out $(HOST_NOT),$(wildcard lib/*.c mm/*.c mm/*/*.c ept/*.c vmm/*.c vmm/*/*.c vmm/*/*/*.c)) \
             $(addprefix arch/x86/,errata.c fpu_pointers.c identity.c insn_slot.c symbols.c tsc_meet.c virt_paging.c svm/exit.c) $(wildcard arch/x86/vmx/check*.c) \
             $(addprefix drivers/,acpi.c acpi_console.c acpi_parse.c scancode.c serial_find.c serial_pci.c serial_word.c terminal.c txring.c) \
             $(addprefix boot/,acpi_check.c boot_info.c multiboot1.c multiboot2.c cmdline.c memmap.c) \
             $(wildcard tests/unit/support/*.c)
HOSTFLAGS := -std=gnu17 -g -fno-strict-aliasing -fno-omit-frame-pointer $(WARN) -I. -I$(BUILD) -D_GNU_SOURCE -include tests/unit/support/relax.h
HOSTLIBS := -lcmocka -lZydis -lpthread

# $(1): variant. One object tree and library under the variant's compiler and sanitizers; each
# source in tests/$(1)/ is a program of its own.
define hosted
$(1)_PROGRAMS := $$(patsubst %.c,$(BUILD)/$(1)/%,$$(notdir $$(sort $$(wildcard tests/$(1)/*.c))))
$(1)-programs: $$($(1)_PROGRAMS)
$(BUILD)/$(1)/obj/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$$($(1)_CC) $$(HOSTFLAGS) $$($(1)_FLAGS) -MMD -MP -c $$< -o $$@
$(BUILD)/$(1)/obj/%.S.o: %.S Makefile
	@mkdir -p $$(@D)
	$$(call say,AS)
	$$(Q)$$($(1)_CC) -D__ASSEMBLY__ -I. -MMD -MP -c $$< -o $$@
$(BUILD)/$(1)/libumbra.a: $$(HOST_SRCS:%.c=$(BUILD)/$(1)/obj/%.o) $(BUILD)/$(1)/obj/arch/x86/insn_slot_call.S.o
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
$$($(1)_PROGRAMS): $(BUILD)/$(1)/%: $(BUILD)/$(1)/obj/tests/$(1)/%.o $(BUILD)/$(1)/libumbra.a
	$$(call say,LINK)
	$$(Q)$$($(1)_CC) $$($(1)_FLAGS) $$($(1)_LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $$(HOSTLIBS)
.PRECIOUS: $(BUILD)/$(1)/obj/%.o
.PHONY: $(1)-programs
endef

unit_CC := $(HOSTCC)
unit_FLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
race_CC := $(HOSTCC)
race_FLAGS := -O1 -fsanitize=thread
fuzz_CC := $(CLANG)
fuzz_FLAGS := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
fuzz_LDFLAGS := -fsanitize=fuzzer
$(foreach v,unit race fuzz,$(eval $(call hosted,$(v))))

# The VMX back end on a CPU that is a few variables: tests/unit/vmx/fake_cpu.h.
VMX_FAKED := $(patsubst %.c,$(BUILD)/unit/obj/%.o,$(filter-out arch/x86/vmx/check%,$(wildcard arch/x86/vmx/*.c)) \
             $(wildcard tests/unit/vmx/*.c))
VMX_TESTS := test_vmx_models test_vmx_vcpu test_vmx_paging test_vmx_exit test_cpu_features test_preflight
PREFLIGHT := $(addprefix $(BUILD)/unit/obj/arch/x86/,cpu_features.o preflight.o)
$(VMX_FAKED) $(PREFLIGHT) $(VMX_TESTS:%=$(BUILD)/unit/obj/tests/unit/%.o): HOSTFLAGS += -include tests/unit/vmx/fake_cpu.h
$(VMX_TESTS:%=$(BUILD)/unit/%): $(VMX_FAKED) $(PREFLIGHT)

# The SVM back end of a vCPU, in the place of support/virt_ops.c; its instructions are functions of the test's.
SVM_FAKED := $(patsubst %,$(BUILD)/unit/obj/arch/x86/svm/%.o,vcpu regs paging)
SVM_TESTS := test_svm_run test_svm_paging test_svm_clean
$(SVM_FAKED) $(SVM_TESTS:%=$(BUILD)/unit/obj/tests/unit/%.o): HOSTFLAGS += -include tests/unit/support/svm_insn.h
$(SVM_TESTS:%=$(BUILD)/unit/%): $(SVM_FAKED)

# The life of VMs, above a vmm that does nothing: tests/unit/vm/fake_vmm.h.
VM_FAKED := $(patsubst %.c,$(BUILD)/unit/obj/%.o,$(wildcard tests/unit/vm/*.c))
$(addprefix $(BUILD)/unit/,test_vm test_vm_slices test_vm_log): $(VM_FAKED)

# The screen, on memory of the test's.
$(BUILD)/unit/obj/drivers/screen.o $(BUILD)/unit/obj/tests/unit/test_screen.o: HOSTFLAGS += -include tests/unit/support/ports.h
$(BUILD)/unit/test_screen: $(addprefix $(BUILD)/unit/obj/drivers/,screen.o font.o)

# The memory of a guest's code, with the steps of a look-up in the test's hands.
$(BUILD)/unit/test_insn_code: $(BUILD)/unit/obj/vmm/exit/insn_code.o

# What the emulator asks for system instructions.
$(BUILD)/unit/test_insn_callbacks: $(BUILD)/unit/obj/vmm/exit/insn_callbacks.o

# Real mode in the emulator, on a clock that the test's devices move.
$(BUILD)/unit/test_realmode: $(BUILD)/unit/obj/vmm/exit/realmode.o

# From one vCPU to another, on a CPU whose instructions are functions of the test's.
$(BUILD)/unit/obj/vmm/vcpu_load.o $(BUILD)/unit/obj/tests/unit/test_vcpu_load.o: HOSTFLAGS += -include tests/unit/support/switch_cpu.h
$(BUILD)/unit/test_vcpu_load: $(BUILD)/unit/obj/vmm/vcpu_load.o

# Machine checks on a CPU whose banks are the test's.
MCE := $(addprefix $(BUILD)/unit/obj/arch/x86/,mce.o mce_verdict.o)
$(MCE) $(BUILD)/unit/obj/tests/unit/test_mce.o: HOSTFLAGS += -include tests/unit/support/mce_cpu.h
$(BUILD)/unit/test_mce: $(MCE)

# The test of XSAVE, on a CPU whose instructions are the test's.
XSTATE := $(BUILD)/unit/obj/arch/x86/xstate.o
$(XSTATE) $(BUILD)/unit/obj/tests/unit/test_xstate.o: HOSTFLAGS += -include tests/unit/support/xsave_cpu.h
$(BUILD)/unit/test_xstate: $(XSTATE)

# The TSC's frequency, on a machine whose time is the test's.
TSC := $(BUILD)/unit/obj/arch/x86/tsc.o
$(TSC) $(BUILD)/unit/obj/tests/unit/test_tsc.o: HOSTFLAGS += -include tests/unit/support/tsc_cpu.h
$(BUILD)/unit/test_tsc: $(TSC)

# Configuration space behind ports that are functions of the test's.
PCI := $(addprefix $(BUILD)/unit/obj/drivers/,bus_master.o pci_config.o)
$(PCI) $(BUILD)/unit/obj/tests/unit/test_bus_master.o: HOSTFLAGS += -include tests/unit/support/ports.h
$(BUILD)/unit/test_bus_master: $(PCI)

# Serial ports on a CPU whose ports and clock are the test's.
SERIAL := $(BUILD)/unit/obj/drivers/serial.o
$(SERIAL) $(BUILD)/unit/obj/tests/unit/test_serial.o: HOSTFLAGS += -include tests/unit/support/port_cpu.h
$(BUILD)/unit/test_serial: $(SERIAL)

# A CPU's loop, with interrupts that the test sends.
SCHED := $(addprefix $(BUILD)/unit/obj/vmm/,sched.o turn.o control/cpu_loop.o)
SCHED_FAKED := $(BUILD)/unit/obj/tests/unit/sched/cpus.o
$(SCHED) $(SCHED_FAKED): HOSTFLAGS += -include tests/unit/support/idle_cpu.h
$(BUILD)/unit/test_sched $(BUILD)/unit/test_sched_turns: $(SCHED) $(SCHED_FAKED)

# --- guests, runs and tests ------------------------------------------------------------------
-include tests/guest/rules.mk

# Boot sectors: the launcher's for Bochs, and a floppy disk's for a BIOS as a guest.
$(BUILD)/bootdisk.bin: tools/launch/bootdisk.S
$(BUILD)/boot/bootsect.img: tests/boot/bootsect.S
$(BUILD)/bootdisk.bin $(BUILD)/boot/bootsect.img: Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -c $(filter %.S,$^) -o $(basename $@).o
	$(Q)$(LD) -m elf_i386 --oformat binary -Ttext 0x7c00 -e start -o $@ $(basename $@).o
	$(if $(filter %.img,$@),$(Q)truncate -s 1440K $@)

# An application for UEFI. At least 4 KiB: QEMU takes no smaller file for a kernel.
$(BUILD)/boot/occupy.efi: tests/boot/occupy.c tests/boot/efi.ld Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m64 -std=gnu17 -O1 -ffreestanding -fpie -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables $(WARN) -c $< -o $(@:.efi=.o)
	$(Q)$(LD) -nostdlib -e efi_main -T tests/boot/efi.ld -o $(@:.efi=.elf) $(@:.efi=.o)
	$(Q)$(OBJCOPY) -O pei-x86-64 --subsystem efi-app $(@:.efi=.elf) $@
	$(Q)truncate -s 4K $@

# A guest of real mode that floods its console.
$(BUILD)/boot/flood.bin: tests/boot/flood.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -c $< -o $(basename $@).o
	$(Q)$(LD) -m elf_i386 --oformat binary -Ttext 0x8000 -e start -o $@ $(basename $@).o

# A firmware; the second for a CPU with a flaw: see there.
$(BUILD)/boot/romtables.bin $(BUILD)/boot/romtables-bochs-svm.bin: tests/boot/romtables.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m64 $(if $(findstring bochs,$@),-DBOCHS_SVM) -c $< -o $(basename $@).o
	$(Q)$(LD) -m elf_x86_64 --oformat binary --section-start=.rom=0xffff0000 -e prot -o $@ $(basename $@).o
# Kernels of old Linux boot protocols: a zImage, and a bzImage.
OLD_LINUX := $(addprefix $(BUILD)/boot/,oldlinux-2.00 oldlinux-2.01 oldlinux-2.04)
old-linux: $(OLD_LINUX)
$(BUILD)/boot/oldlinux-2.00 $(BUILD)/boot/oldlinux-2.01: OLD_FLAGS := 0
$(BUILD)/boot/oldlinux-2.04: OLD_FLAGS := 1
$(OLD_LINUX): $(BUILD)/boot/oldlinux-%: tests/boot/oldlinux.c tests/boot/oldlinux.S tests/boot/oldlinux.ld Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m16 -march=i386 -std=gnu17 -Os -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -fno-jump-tables -mgeneral-regs-only $(WARN) -c tests/boot/oldlinux.c -o $@.o
	$(Q)$(CC) -m32 -DVERSION=0x$(subst .,,$*) -DFLAGS=$(OLD_FLAGS) -c tests/boot/oldlinux.S -o $@.S.o
	$(Q)$(LD) -m elf_i386 --oformat binary -T tests/boot/oldlinux.ld -e 0 -o $@ $@.S.o $@.o
.PHONY: old-linux

# A process of Linux guests.
$(BUILD)/boot/vectors: tests/boot/vectors.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m64 -std=gnu17 -O1 -ffreestanding -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -fno-pic -no-pie -nostdlib -static $(WARN) $< -o $@

# A program of real mode.
$(BUILD)/boot/realdiff.bin: tests/boot/realdiff.c tests/boot/real.ld Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -m16 -march=i386 -std=gnu17 -O1 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -mgeneral-regs-only $(WARN) -c $< -o $(@:.bin=.o)
	$(Q)$(LD) -m elf_i386 --oformat binary -T tests/boot/real.ld -o $@ $(@:.bin=.o)

#: make run        Debian's cloud kernel and a shell on 2 CPUs, in Umbra: on QEMU's AMD machine, through GRUB, or
#:                 with CPU=intel on Bochs's Intel machine
CPU ?= amd
DEMO := --vcpus 2 --mem 512M --initrd build/kernels/initrd-amd64 build/kernels/cloud.vmlinux -- console=ttyS0 quiet
DEMO_amd := --boot bios $(DEMO)
DEMO_intel := --cpu intel $(DEMO) cryptomgr.notests
run: all kernels
	tools/umbra run $(or $(DEMO_$(CPU)),$(error CPU is amd or intel))

#: make iso        build/umbra.iso: the same for a USB stick or a CD, BIOS and UEFI
iso: all kernels
	tools/mkiso -o $(BUILD)/umbra.iso -t 5 -s 0 \
		'build/kernels/cloud.bzImage kernel vm=demo mem=512M vcpus=2 -- console=ttyS0 quiet' \
		'build/kernels/initrd-amd64 initrd vm=demo'

#: make kernels    fetch Debian's kernels and make an initramfs for them: build/kernels
kernels: $(BUILD)/boot/vectors
	tools/get-kernels

#: make check      all tests; one group of them: make GROUP, where GROUP is one of
#:                 lint clang tools unit race model fuzz guests guests-intel guests-ryzen guests-nested boot boot-intel bench
#:                 (make guests-nested-all: every test guest nested under KVM; it takes long, and is not part of make check)
check:
	@tests/run
$(TEST_GROUPS):
	@tests/run $@

#: make bench      path lengths in instructions, Umbra's beside KVM's, and Umbra's limits: build/bench/report.html
#:                 (or with CPU=intel; with QUICK=1 only Umbra is measured, KVM's figures are the kept ones)
bench: all kernels
	tools/bench --cpu $(CPU) $(if $(QUICK),--quick)

# Parts of the lint group that look at one file at a time, and only again when it has changed.
# A template (*_tmpl.h) is no header: it is compiled once for each file that includes it.
HEADERS := $(filter-out %_tmpl.h,$(wildcard lib/*.h arch/x86/*.h arch/x86/*/*.h mm/*.h ept/*.h vmm/*.h vmm/*/*.h vmm/*/*/*.h drivers/*.h boot/*.h))
LINT := $(BUILD)/lint
lint-headers: $(HEADERS:%=$(LINT)/%.alone)
lint-sparse: $(SRCS:%=$(LINT)/%.sparse)
lint-tidy: $(SRCS:%=$(LINT)/%.tidy)

$(LINT)/%.h.alone: %.h $(BUILD)/umbra.elf
	@mkdir -p $(@D)
	$(call say,ALONE)
	$(Q)echo '#include "$<"' | $(CC) $(CFLAGS) -fsyntax-only -x c -
	@touch $@
# Of sparse: locks, types, and what it cannot read. It must find what is planted for it.
SPARSE := sparse '-D_Atomic(T)=T' -include tests/lint/sparse.h -Wcontext
SPARSE_FINDS := context imbalance|incorrect type|error:
$(LINT)/%.c.sparse: %.c tests/lint/sparse.h $(BUILD)/%.o $(LINT)/planted
	@mkdir -p $(@D)
	$(call say,SPARSE)
	$(Q)$(SPARSE) $(CFLAGS) $< >$@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)! grep -E '$(SPARSE_FINDS)' $@.log
	@touch $@
$(LINT)/planted: tests/lint/planted.c tests/lint/sparse.h $(NEWLIB)/libc.a
	@mkdir -p $(@D)
	$(Q)$(SPARSE) $(CFLAGS) $< >$@.log 2>&1 && [ "$$(grep -cE '$(SPARSE_FINDS)' $@.log)" = "$$(grep -c '^static .*(' $<)" ] || \
		{ cat $@.log; echo "sparse does not find what is planted in $<"; exit 1; }
	@touch $@
$(BUILD)/clang/compile_commands.json: Makefile $(SRCS)
	@mkdir -p $(@D)
	$(MAKE) -s CC=$(CLANG) BUILD=$(BUILD)/clang NEWLIB=$(NEWLIB) $@ $(BUILD)/clang/dsdt.h $(BUILD)/clang/bios.h
$(LINT)/%.c.tidy: %.c $(BUILD)/%.o .clang-tidy | $(BUILD)/clang/compile_commands.json
	@mkdir -p $(@D)
	$(call say,TIDY)
	$(Q)clang-tidy --quiet -p $(BUILD)/clang $< 2>/dev/null > $@.log || { cat $@.log; exit 1; }
	@touch $@

#: make clean      remove what was built (fetched kernels stay in the cache, ~/.cache/umbra)
clean:
	rm -rf $(BUILD) compile_commands.json

help:
	@sed -n 's/^#: //p' Makefile

.PHONY: all run iso kernels check bench $(TEST_GROUPS) lint-headers lint-sparse lint-tidy clean help
-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
