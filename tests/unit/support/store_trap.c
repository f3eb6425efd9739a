/* SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "lib/types.h"
#include "mm/host.h"
#include "tests/unit/support/store_trap.h"

#define MAX_PFN   (1u << 20)
#define TRAP_FLAG 0x100

static uint8_t tags[MAX_PFN];
static void (*announce)(void *where), (*report)(void *where);
static void *stepped; /* the store that is being let through */
static struct sigaction old_segv, old_trap;

static char *page_of(const void *p)
{
	return (char *)((uintptr_t)p & PAGE_MASK);
}

static void protect(const void *p, int prot)
{
	if (mprotect(page_of(p), PAGE_SIZE, prot)) {
		perror("mprotect");
		abort();
	}
}

uint8_t store_trap_tag(const void *page)
{
	uint64_t pfn = ((uintptr_t)page - host_direct_map) / PAGE_SIZE;

	return (uintptr_t)page >= host_direct_map && pfn < MAX_PFN ? tags[pfn] : 0;
}

static void set_tag(const void *page, uint8_t tag)
{
	tags[((uintptr_t)page - host_direct_map) / PAGE_SIZE] = tag;
}

void store_trap_watch(void *page, uint8_t tag)
{
	set_tag(page, tag);
	protect(page, PROT_READ);
}

void store_trap_unwatch(void *page)
{
	set_tag(page, 0);
	protect(page, PROT_READ | PROT_WRITE);
}

void store_trap_poke(uint64_t *where, uint64_t value)
{
	protect(where, PROT_READ | PROT_WRITE);
	*where = value;
	if (store_trap_tag(page_of(where)))
		protect(where, PROT_READ);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	if (!store_trap_tag(info->si_addr) || stepped) {
		fprintf(stderr, "fault at %p (rip %llx) that is no store to watched memory\n",
			info->si_addr, (unsigned long long)c->uc_mcontext.gregs[REG_RIP]);
		abort();
	}
	announce(info->si_addr);
	if (!store_trap_tag(info->si_addr))
		return; /* watched no more: once again, unseen */
	stepped = info->si_addr;
	protect(stepped, PROT_READ | PROT_WRITE);
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	void *where = stepped;

	c->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	stepped = NULL;
	protect(where, PROT_READ);
	report(where);
}

void store_trap_begin(void (*before)(void *where), void (*after)(void *where))
{
	struct sigaction segv = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct sigaction trap = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};

	announce = before;
	report = after;
	stepped = NULL;
	memset(tags, 0, sizeof(tags));
	sigaction(SIGSEGV, &segv, &old_segv);
	sigaction(SIGTRAP, &trap, &old_trap);
}

void store_trap_end(void)
{
	for (uint64_t pfn = 0; pfn < MAX_PFN; pfn++) {
		if (tags[pfn])
			store_trap_unwatch((char *)host_direct_map + pfn * PAGE_SIZE);
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
}
