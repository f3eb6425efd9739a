/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bzImages: the input overlays the setup header of a good one (so that the fuzzer need not find
 * the magic numbers first), or is the whole file.
 */
#include "tests/fuzz/fuzz_load.h"

#define HEADER    0x1f1
#define FILE_SIZE 0x1400

static void put(uint8_t *file, size_t off, uint64_t val, size_t size)
{
	memcpy(file + off, &val, size);
}

static void make_kernel(uint8_t *file)
{
	put(file, 0x1f1, 1, 1);
	put(file, 0x1f4, 0x1000 / 16, 4);
	put(file, 0x1fe, 0xaa55, 2);
	put(file, 0x201, 0x6a, 1);
	memcpy(file + 0x202, "HdrS", 4);
	put(file, 0x206, 0x20f, 2);
	put(file, 0x211, 1, 1);
	put(file, 0x22c, 0x7fffffff, 4);
	put(file, 0x236, 1, 2);
	put(file, 0x238, 2047, 4);
	put(file, 0x258, 0x200000, 8);
	put(file, 0x260, 0x100000, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;

	if (size > FILE_SIZE - HEADER) {
		fuzz_load(PROTO_LINUX, data, size);
		return 0;
	}
	file = calloc(1, FILE_SIZE);
	make_kernel(file);
	for (size_t i = 0; i < size; i++)
		file[HEADER + i] ^= data[i];
	fuzz_load(PROTO_AUTO, file, FILE_SIZE);
	free(file);
	return 0;
}
