/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory made of fuzzer input: bytes at the addresses from 0 up. Each look gets a copy of
 * exactly what was asked for, so that the sanitizer sees a parser that reads beyond it.
 */
#ifndef TESTS_FUZZ_MEMORY_H
#define TESTS_FUZZ_MEMORY_H

#include <stdlib.h>
#include <string.h>

#include "lib/physmem.h"

#define FUZZ_MAX_LOOKS 65536

struct fuzz_memory {
	const uint8_t *data;
	size_t size;
	void *copies[FUZZ_MAX_LOOKS];
	unsigned nr_copies;
};

static struct fuzz_memory fuzz_memory;

static const void *fuzz_map(void *ctx, uint64_t hpa, uint64_t len)
{
	struct fuzz_memory *m = ctx;
	void *copy;

	if (hpa >= m->size || len > m->size - hpa || m->nr_copies == FUZZ_MAX_LOOKS)
		return NULL;
	copy = malloc(len);
	memcpy(copy, m->data + hpa, len);
	m->copies[m->nr_copies++] = copy;
	return copy;
}

static const struct phys_memory fuzz_phys = {fuzz_map, &fuzz_memory};

static void fuzz_memory_begin(const uint8_t *data, size_t size)
{
	fuzz_memory.data = data;
	fuzz_memory.size = size;
	fuzz_memory.nr_copies = 0;
}

static void fuzz_memory_end(void)
{
	while (fuzz_memory.nr_copies)
		free(fuzz_memory.copies[--fuzz_memory.nr_copies]);
}

#endif
