/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random instructions for the emulator's tests: legal and illegal prefixes in front of opcodes
 * that are spread evenly over the maps the emulator knows.
 */
#ifndef TESTS_UNIT_SUPPORT_EMUL_RANDOM_H
#define TESTS_UNIT_SUPPORT_EMUL_RANDOM_H

#include <stdint.h>

struct emul_random {
	uint64_t state;
};

/*
 * Seed from the environment variable UMBRA_SEED if it is set, else the same in every run;
 * prints it.
 */
void emul_random_init(struct emul_random *r, const char *test);
uint64_t emul_random_u64(struct emul_random *r);
/* 0 <= result < n. */
unsigned emul_random_below(struct emul_random *r, unsigned n);
/* A number as they cause trouble: near 0, near a power of two, a sign, or anything. */
uint64_t emul_random_value(struct emul_random *r);
/* How many cases a test runs: `n`, or UMBRA_CASES. */
unsigned long emul_random_cases(unsigned long n);
/* Fill 15 bytes: prefixes, opcode, and random bytes for the rest. */
void emul_random_insn(struct emul_random *r, uint8_t bytes[15]);

#endif
