/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF kernels by each of the protocols that take one; the first byte chooses. */
#include "tests/fuzz/fuzz_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum boot_proto protos[] = {PROTO_AUTO, PROTO_LINUX, PROTO_PVH,
						 PROTO_MULTIBOOT, PROTO_MULTIBOOT2};

	if (size)
		fuzz_load(protos[data[0] % ARRAY_SIZE(protos)], data + 1, size - 1);
	return 0;
}
