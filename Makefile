# SPDX-License-Identifier: BSD-2-Clause
# Umbra: one Makefile, no configure. `make help` lists what it can do.

BUILD   ?= build
CC      ?= gcc
HOSTCC  ?= $(CC)
LD      := ld
OBJCOPY := objcopy
OBJDUMP := objdump
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla \
        -Wundef -Wpointer-arith -Wwrite-strings -Wno-unused-parameter

# --- the hypervisor -----------------------------------------------------------------------
NEWLIB := $(BUILD)/newlib
ARCHFLAGS := -m64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie \
             -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
             -fstack-protector-strong -mstack-protector-guard=global
CFLAGS := -std=gnu17 -O2 -g -ffreestanding -fno-common -ffunction-sections -fdata-sections \
          -fno-strict-aliasing $(ARCHFLAGS) $(WARN) -I. -I$(BUILD) \
          -Dsnprintf=sniprintf -Dvsnprintf=vsniprintf \
          -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
          -isystem $(NEWLIB)/inc -isystem $(NEWLIB)/src/libc/include

SRCS := $(sort $(wildcard lib/*.c arch/x86/*.c arch/x86/*/*.c mm/*.c ept/*.c vmm/*.c vmm/*/*.c drivers/*.c boot/*.c))
ASMS := $(sort $(wildcard arch/x86/*.S arch/x86/*/*.S boot/*.S))
OBJS := $(SRCS:%.c=$(BUILD)/%.o) $(ASMS:%.S=$(BUILD)/%.S.o)

all: $(BUILD)/umbra.elf

$(BUILD)/umbra.elf: $(OBJS) $(NEWLIB)/libc.a linker.ld
	$(LD) -nostdlib -z max-page-size=4096 -z noexecstack --gc-sections --build-id=none -T linker.ld -o $@ $(OBJS) $(NEWLIB)/libc.a
	$(OBJDUMP) -d $@ > $(BUILD)/umbra.dis
	nm -n $@ > $(BUILD)/umbra.sym

$(BUILD)/%.o: %.c $(NEWLIB)/libc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.S.o: %.S $(NEWLIB)/libc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

$(NEWLIB)/libc.a: tools/build-newlib
	tools/build-newlib $(NEWLIB) -m64 -mcmodel=kernel -mno-red-zone

# --- hosted: the same sources for the build machine, under the sanitizers --------------------
HOSTFLAGS := -std=gnu17 -O1 -g -fno-strict-aliasing -fno-omit-frame-pointer $(WARN) -I. -I$(BUILD) -D_GNU_SOURCE
HOST := $(BUILD)/host
# What can run on the build machine; arch/x86 and boot only in the files named here.
HOST_SRCS := $(filter-out lib/libc_glue.c,$(wildcard lib/*.c)) $(wildcard mm/*.c ept/*.c vmm/dev/*.c vmm/load/*.c vmm/emulate/*.c) \
             $(wildcard vmm/bus.c vmm/timer.c vmm/platform.c vmm/config.c vmm/e820.c drivers/acpi.c boot/multiboot2.c boot/cmdline.c)
UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BINS := $(UNIT_TESTS:tests/unit/%.c=$(HOST)/%)

$(HOST)/%.o: %.c
	@mkdir -p $(@D)
	$(HOSTCC) $(HOSTFLAGS) -fsanitize=address,undefined -fno-sanitize-recover=undefined -MMD -MP -c $< -o $@

$(HOST)/libumbra.a: $(HOST_SRCS:%.c=$(HOST)/%.o) $(patsubst %.c,$(HOST)/%.o,$(wildcard tests/unit/support/*.c))
	rm -f $@; ar rcs $@ $^

$(HOST)/test_%: $(HOST)/tests/unit/test_%.o $(HOST)/libumbra.a
	$(HOSTCC) -fsanitize=address,undefined -o $@ $< $(HOST)/libumbra.a -lcmocka -lZydis -lpthread

.PRECIOUS: $(HOST)/%.o
unit: $(UNIT_BINS)
	@set -e; for t in $(UNIT_BINS); do echo "== $$t"; $$t; done

-include tests/guest/rules.mk

clean:
	rm -rf $(BUILD)

.PHONY: all unit clean
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
