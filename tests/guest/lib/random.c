/* SPDX-License-Identifier: BSD-2-Clause */
/* Marsaglia's xorshift64*. */
#include "random.h"

#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "ktap.h"

#define DEFAULT_SEED 20240229

static uint64_t state;

static void set_seed(void)
{
	const char *text = boot_option("seed");

	state = text ? strtoul(text, NULL, 0) : DEFAULT_SEED;
	if (!state)
		state = DEFAULT_SEED;
	printf("# seed=%lu\n", (unsigned long)state);
}

uint64_t random64(void)
{
	if (!state)
		set_seed();
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

void random_fill(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		uint64_t r = random64();
		size_t n = len < sizeof(r) ? len : sizeof(r);

		memcpy(p, &r, n);
		p += n;
		len -= n;
	}
}
