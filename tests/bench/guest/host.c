/* SPDX-License-Identifier: BSD-2-Clause */
/* See host.h. */
#include "tests/bench/guest/host.h"

#include "boot.h"
#include "hypercall.h"
#include "ktap.h"
#include "tests/bench/kvm/host.h"

#define MOST_PAGES 8192ul /* that one call collects */
#define GRANULE    64ul

bool host_answers(void)
{
	return boot_option("host") || (is_umbra() && hypercall(HC_DIRTY_STOP, 0) != HC_EPERM);
}

static long ask(uint32_t command, unsigned long call)
{
	if (is_umbra())
		return hypercall(call, 0);
	outl(HOST_PORT, command);
	return 0;
}

static void need(const char *what, long result)
{
	if (result < 0)
		bail_out("%s: %ld", what, result);
}

void host_zap(void)
{
	need("zap", ask(HOST_ZAP, HC_ZAP));
}

void host_dirty_start(void)
{
	need("dirty log", ask(HOST_DIRTY_START, HC_DIRTY_START));
}

void host_dirty_stop(void)
{
	need("dirty log", ask(HOST_DIRTY_STOP, HC_DIRTY_STOP));
}

static void collect_on_umbra(void)
{
	static uint64_t bitmap[MOST_PAGES / 64] __attribute__((aligned(4096)));
	unsigned long pages = boot_memory_end() / PAGE_SIZE & ~(GRANULE - 1);

	for (unsigned long at = 0; at < pages; at += MOST_PAGES) {
		unsigned long nr = pages - at < MOST_PAGES ? pages - at : MOST_PAGES;

		need("dirty log",
		     hypercall3(HC_DIRTY_COLLECT, at * PAGE_SIZE, nr, (unsigned long)bitmap));
	}
}

void host_dirty_collect(void)
{
	if (is_umbra())
		collect_on_umbra();
	else
		outl(HOST_PORT, HOST_DIRTY_COLLECT);
}
