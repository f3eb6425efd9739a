/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator beside the build machine's CPU (native.h): it executes in a copy of the same memory,
 * with the same segments, and its stores can be taken back.
 */
#ifndef TESTS_UNIT_SUPPORT_EMUL_SHADOW_H
#define TESTS_UNIT_SUPPORT_EMUL_SHADOW_H

#include "tests/unit/support/emul_random.h"
#include "tests/unit/support/native.h"
#include "vmm/emulate/emulate.h"

#define SHADOW_LEN (NATIVE_DATA_LEN + 0x1000) /* what can be read */

struct emul_config {
	const char *name;
	enum emul_mode mode;
	struct native_env env;
};

struct mem_write {
	uint64_t offset;
	unsigned len;
	uint8_t old[16];
};

struct emulation {
	struct emul_ctx ctx;
	struct native_regs regs;
	int result;  /* enum emul_result */
	bool unsafe; /* touched what the CPU must not */
	unsigned nr_writes;
	struct mem_write write[512];
	uint8_t fpu[NATIVE_FPU_LEN] __attribute__((aligned(64))); /* as in NATIVE_FPU */
};

extern uint8_t shadow_memory[SHADOW_LEN];

/* After native_init(): the emulator can have this CPU execute instructions. */
void shadow_init(void);
/* Both memories hold the same random data from now on. */
void shadow_refill(struct emul_random *r);
void shadow_set_segments(struct emulation *e, const struct native_env *env);
/* Where the instruction lies. */
uint64_t shadow_insn_rip(const struct emul_config *cfg);
/* emul_decode() of these bytes there. */
int shadow_decode(struct emulation *e, const struct emul_config *cfg, const uint8_t *bytes);
/* emul_execute() to its end, from these registers; the result is in *e. */
void shadow_execute(struct emulation *e, const struct native_regs *before);
void shadow_undo_writes(struct emulation *e);
/* Does [addr, addr + len) lie in [base, base + range)? */
bool shadow_in_range(uint64_t addr, unsigned len, uint64_t base, uint64_t range);

#endif
