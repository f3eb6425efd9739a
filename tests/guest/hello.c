/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest payload: is the runtime alive, and is the machine what the loader says?
 */
#include <string.h>

#include "boot.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "trap.h"

TEST(console_prints)
{
	printf("# %d-bit payload, %s, %lu KiB of memory, %u CPUs, TSC %llu kHz\n",
	       IS_64BIT ? 64 : 32, is_umbra() ? "under Umbra" : "not under Umbra",
	       boot_memory_end() / 1024, smp_count(), (unsigned long long)tsc_khz());
}

TEST(memory_keeps_what_is_written)
{
	uint32_t *p = page_alloc();

	memset(p, 0x5a, PAGE_SIZE);
	CHECK_EQ(p[0], 0x5a5a5a5a);
	CHECK_EQ(p[1023], 0x5a5a5a5a);
}

TEST(exception_is_caught)
{
	CHECK_EQ(TRY(__asm__ volatile("ud2")), UD_VECTOR);
	CHECK_EQ(TRY(barrier()), NO_FAULT);
}

TEST(fw_cfg_answers)
{
	CHECK(fwcfg_exists());
	CHECK(fwcfg_read16(FWCFG_NB_CPUS) >= 1);
}

TEST(tsc_moves)
{
	uint64_t t = rdtsc();

	/* Bochs, with several CPUs, counts the instructions of a basic block at its end. */
	for (unsigned n = 0; n < 100; n++)
		pause();
	CHECK(rdtsc() > t);
	CHECK(tsc_khz() > 1000);
}
