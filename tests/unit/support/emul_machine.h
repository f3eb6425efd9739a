/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the emulator's tests: registers, some pages of memory, ports, and a record of what
 * the emulator asked for.
 */
#ifndef TESTS_UNIT_SUPPORT_EMUL_MACHINE_H
#define TESTS_UNIT_SUPPORT_EMUL_MACHINE_H

#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "vmm/emulate/emulate.h"

/*
 * A machine with memory at linear 0-1FFFF, in the last page below 4 GiB, and on both sides of
 * the canonical hole and of address 0 in 64-bit mode: each is a window on the same few pages.
 */
#define MEM_LEN       0x20000
#define MEM_TOP       0xfffff000ull
#define CODE          0x8000
#define MISSING(page) BIT_ULL(page)

struct emul_machine {
	struct emul_ctx ctx;
	uint64_t gpr[NR_GPRS];
	uint8_t mem[MEM_LEN + 0x1000];
	uint64_t missing;   /* pages of the first 32 that are not present */
	uint64_t read_only; /* likewise */
	uint64_t window;    /* not 0: memory is also here, beyond 4 GiB */
	unsigned reads, writes, exchanges, probes, fetches, segments_asked, iterations;
	unsigned last_access, last_len;
	uint64_t last_write;
	unsigned port, port_size, port_reads, port_writes;
	uint32_t port_value;
	bool other_cpu;              /* changes memory before each cmpxchg */
	uint8_t other_cpu_flips;     /* likewise: these bits */
	struct segment seg[NR_SEGS]; /* what it has; a successful run takes loads over */

	/* With machine_add_system(). */
	bool amd;
	uint64_t cr[9], dr[8];
	uint64_t bad_cr3;           /* is refused, if not 0 */
	struct desc_table table[2]; /* enum emul_table */
	uint16_t fcw, fsw;
	unsigned system_insn; /* enum emul_op of the last */
};

extern struct emul_machine m;

#define DATA_SEG (0x3 | SEG_ATTR_S | SEG_ATTR_P)
#define CODE_SEG (0xb | SEG_ATTR_S | SEG_ATTR_P)

/* Everything anew. Flat segments in 32- and 64-bit mode, 64 KiB ones at 0 otherwise. */
void machine_start(enum emul_mode mode);
/* From now on it has control and debug registers, descriptor tables, an FPU, and the rest. */
void machine_add_system(void);

/* Run the bytes at rip, fetched by the emulator. */
int machine_run(const char *bytes, unsigned len);
/* The bytes fault with this vector, and nothing at all has changed. */
void machine_expect_fault(unsigned vector, const char *bytes, unsigned len, int line);

#define RUN(bytes)            machine_run(bytes, sizeof(bytes) - 1)
#define FAULTS(vector, bytes) machine_expect_fault(vector, bytes, sizeof(bytes) - 1, __LINE__)

/* Memory at a linear address below MEM_LEN. */
uint64_t machine_mem(unsigned addr, unsigned len);
void machine_set_mem(unsigned addr, uint64_t val, unsigned len);

#endif
