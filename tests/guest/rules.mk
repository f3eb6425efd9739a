# SPDX-License-Identifier: BSD-2-Clause
# The bare-metal test guests: tests/guest/NAME.c becomes build/guest/NAME.elf, an ELF32 container
# that a multiboot1 loader can start. Those in GUEST_BOTH are also built for i386 (NAME32.elf);
# a source whose own name ends in 32 is for i386 only.

GUEST := $(BUILD)/guest
GUEST_SRCS := $(wildcard tests/guest/*.c)
GUEST_LIB_SRCS64 := $(filter-out %32.c,$(wildcard tests/guest/lib/*.c))
GUEST_LIB_SRCS32 := $(wildcard tests/guest/lib/*.c)
GUEST_LIB_ASMS := $(wildcard tests/guest/lib/*.S)
GUEST_ONLY32 := $(filter %32,$(GUEST_SRCS:tests/guest/%.c=%))
GUEST_NAMES := $(filter-out %32,$(GUEST_SRCS:tests/guest/%.c=%))
GUEST_BOTH := $(filter hello hypercall delivery watch attack_event attack_state cpuid msr apic apic_ipi apic_timer cr exceptions debugreg ioapic mmio vecmmio pio pic pit rtc uart,$(GUEST_NAMES))
GUEST_ELFS := $(GUEST_NAMES:%=$(GUEST)/%.elf) $(GUEST_ONLY32:%=$(GUEST)/%.elf) $(GUEST_BOTH:%=$(GUEST)/%32.elf)

GUEST_FLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-common -fno-strict-aliasing -fno-pic -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
	-fno-toplevel-reorder -mno-red-zone -mgeneral-regs-only $(WARN) -Dsnprintf=sniprintf -Dvsnprintf=vsniprintf \
	-I. -Itests/guest/lib -nostdinc -isystem $(NEWLIB)/inc -isystem $(NEWLIB)/src/libc/include \
	-isystem $(shell $(CC) -print-file-name=include)

BENCH_GUESTS := $(BUILD)/bench/bench.elf $(BUILD)/bench/stretch.elf

guest-payloads: $(GUEST_ELFS) $(BENCH_GUESTS)

$(GUEST)/newlib32/libc.a: tools/build-newlib
	tools/build-newlib $(GUEST)/newlib32 -m32

# $(1) = 64 or 32, $(2) = its newlib
define guest_width
$$(GUEST)/obj$(1)/%.o: %.c $(2)
	@mkdir -p $$(@D)
	$$(CC) -m$(1) $$(GUEST_FLAGS) -MMD -MP -c $$< -o $$@

$$(GUEST)/obj$(1)/%.S.o: %.S
	@mkdir -p $$(@D)
	$$(CC) -m$(1) -D__ASSEMBLY__ -I. -Itests/guest/lib -MMD -MP -c $$< -o $$@

GUEST_LIB$(1) := $$(GUEST_LIB_SRCS$(1):%.c=$$(GUEST)/obj$(1)/%.o) $$(GUEST_LIB_ASMS:%.S=$$(GUEST)/obj$(1)/%.S.o)
endef
$(eval $(call guest_width,64,$(NEWLIB)/libc.a))
$(eval $(call guest_width,32,$(GUEST)/newlib32/libc.a))

guest_link64 = $(LD) -m elf_x86_64 -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
	--build-id=none -T tests/guest/lib/link.ld -o $@.64 $(filter %.o,$^) $(NEWLIB)/libc.a && \
	$(OBJCOPY) -O elf32-i386 $@.64 $@
guest_link32 = $(LD) -m elf_i386 -nostdlib -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
	--build-id=none -T tests/guest/lib/link.ld -o $@ $(filter %.o,$^) $(GUEST)/newlib32/libc.a

$(GUEST_NAMES:%=$(GUEST)/%.elf): $(GUEST)/%.elf: $(GUEST)/obj64/tests/guest/%.o $(GUEST_LIB64) tests/guest/lib/link.ld
	$(guest_link64)

$(GUEST_ONLY32:%=$(GUEST)/%.elf): $(GUEST)/%.elf: $(GUEST)/obj32/tests/guest/%.o $(GUEST_LIB32) tests/guest/lib/link.ld
	$(guest_link32)

$(GUEST_BOTH:%=$(GUEST)/%32.elf): $(GUEST)/%32.elf: $(GUEST)/obj32/tests/guest/%.o $(GUEST_LIB32) tests/guest/lib/link.ld
	$(guest_link32)

$(BUILD)/bench/bench.elf: $(patsubst %.c,$(GUEST)/obj64/%.o,$(wildcard tests/bench/guest/*.c))
$(BENCH_GUESTS): $(BUILD)/bench/%.elf: $(GUEST)/obj64/tests/bench/%.o $(GUEST_LIB64) tests/guest/lib/link.ld
	@mkdir -p $(@D)
	$(guest_link64)

.PRECIOUS: $(GUEST)/obj64/%.o $(GUEST)/obj32/%.o
.PHONY: guest-payloads

# --- the benchmark: plugins for QEMU, and the process that ends the Linux run --------------------
BENCH_USER := 0x13370000 # where that process starts; tools/bench counts up to there

bench-programs: $(BENCH_GUESTS) $(addprefix $(BUILD)/bench/,count.so costly.so path.so closed.so init kvm-runner)

$(BUILD)/bench/%.so: tests/bench/%.c tests/bench/qemu_plugin.h
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu17 -O2 -shared -fPIC -fvisibility=hidden $(WARN) -I. -o $@ $<

$(BUILD)/bench/init: tests/bench/init.S
	@mkdir -p $(@D)
	$(CC) -static -nostdlib -Wl,-Ttext=$(strip $(BENCH_USER)) -Wl,--build-id=none -o $@ $<

# Static: there is no other library in the Linux that is KVM's host.
$(BUILD)/bench/kvm-runner: tests/bench/kvm/runner.c tests/bench/kvm/host.h
	@mkdir -p $(@D)
	$(HOSTCC) -std=gnu17 -O2 -static -pthread $(WARN) -I. -o $@ $<

.PHONY: bench-programs
