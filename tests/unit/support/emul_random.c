/* SPDX-License-Identifier: BSD-2-Clause */
/* Random instructions and numbers for the emulator's tests. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/emul_random.h"

void emul_random_init(struct emul_random *r, const char *test)
{
	const char *env = getenv("UMBRA_SEED");

	r->state = env ? strtoull(env, NULL, 0) : 0x5eed0123456789abull;
	printf("# %s: UMBRA_SEED=%#llx\n", test, (unsigned long long)r->state);
	if (r->state == 0)
		r->state = 1;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
uint64_t emul_random_u64(struct emul_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

unsigned emul_random_below(struct emul_random *r, unsigned n)
{
	return (emul_random_u64(r) >> 33) % n;
}

uint64_t emul_random_value(struct emul_random *r)
{
	uint64_t v = emul_random_u64(r);

	switch (emul_random_below(r, 8)) {
	case 0:
		return v & 0xf;
	case 1:
		return -(v & 0xf);
	case 2:
		return (1ull << (v & 63)) - 1;
	case 3:
		return 1ull << (v & 63);
	case 4:
		return (uint64_t)(int64_t)(int8_t)v;
	case 5:
		return (v & 0xff) * 0x0101010101010101ull;
	default:
		return v;
	}
}

unsigned long emul_random_cases(unsigned long n)
{
	const char *env = getenv("UMBRA_CASES");

	return env ? strtoul(env, NULL, 0) : n;
}

/* Mostly none or one; now and then so many that the instruction gets too long. */
static unsigned put_prefixes(struct emul_random *r, uint8_t *bytes)
{
	static const uint8_t legacy[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
					 0x66, 0x67, 0x66, 0xf0, 0xf2, 0xf3};
	static const uint8_t counts[16] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 9};
	unsigned n = counts[emul_random_below(r, 16)], i;

	for (i = 0; i < n; i++)
		bytes[i] = legacy[emul_random_below(r, sizeof(legacy))];
	if (emul_random_below(r, 4) == 0) /* REX, or INC and DEC outside 64-bit mode */
		bytes[i++] = 0x40 + emul_random_below(r, 16);
	return i;
}

/* VEX, EVEX, or the maps of three bytes. */
static unsigned put_map(struct emul_random *r, uint8_t *bytes)
{
	unsigned kind = emul_random_below(r, 8), map = 1 + emul_random_below(r, 3);

	switch (kind) {
	case 0 ... 2:
		bytes[0] = 0x62;
		bytes[1] = (bytes[1] & 0xf0) | map;
		bytes[2] |= 4;
		if (bytes[3] & 1) /* often without a mask */
			bytes[3] &= ~7;
		bytes[4] = emul_random_below(r, 256);
		return 5;
	case 3 ... 5:
		bytes[0] = 0xc4;
		bytes[1] = (bytes[1] & 0xe0) | map;
		bytes[3] = emul_random_below(r, 256);
		return 4;
	case 6:
		bytes[0] = 0xc5;
		bytes[2] = emul_random_below(r, 256);
		return 3;
	default:
		bytes[0] = 0x0f;
		bytes[1] = map & 1 ? 0x38 : 0x3a;
		bytes[2] = emul_random_below(r, 256);
		return 3;
	}
}

void emul_random_insn(struct emul_random *r, uint8_t bytes[15])
{
	static const uint8_t groups_0f[8] = {0x00, 0x01, 0x01, 0xae, 0xae, 0xba, 0xc7, 0x20};
	unsigned n, map = emul_random_below(r, 16);
	uint64_t a = emul_random_u64(r), b = emul_random_u64(r);

	for (n = 0; n < 15; n++)
		bytes[n] = n < 8 ? a >> (8 * n) : b >> (8 * (n - 8));
	n = put_prefixes(r, bytes);
	if (map == 0) {
		bytes[n++] = 0x0f;
		bytes[n++] = 0x38;
		bytes[n++] = 0xf0 + emul_random_below(r, 2);
	} else if (map == 1) {
		bytes[n++] = 0x0f;
		bytes[n++] = groups_0f[emul_random_below(r, 8)];
	} else if (map < 4) {
		n += put_map(r, bytes + n);
	} else if (map < 7) {
		bytes[n++] = 0x0f;
		bytes[n++] = emul_random_below(r, 256);
	} else {
		bytes[n++] = emul_random_below(r, 256);
	}
	if (emul_random_below(r, 4) == 0) /* small displacements and immediates */
		for (n += 2; n < 15; n++)
			bytes[n] = bytes[n] & 1 ? 0 : 0xff;
}
