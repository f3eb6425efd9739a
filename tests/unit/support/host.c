/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine under hosted tests: memory from mmap(), CPUs by thread. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/bits.h"
#include "mm/frames.h"
#include "tests/unit/support/host.h"

#define ARENA_ALIGN (1ull << 30)

uintptr_t host_direct_map;
_Atomic unsigned host_flushes, host_reloads;
void (*host_on_flush)(struct vm *vm), (*host_on_reload)(struct vm *vm);
void (*host_on_log)(struct vm *vm, bool on), (*host_on_gather)(struct vm *vm);
void (*host_on_spin)(void), (*host_on_ask)(void);

static uint64_t arena_bytes;
static unsigned nr_cpus = 1;
static _Thread_local unsigned this_cpu;

void host_arena_destroy(void)
{
	if (arena_bytes)
		munmap((void *)host_direct_map, arena_bytes);
	arena_bytes = 0;
}

void host_arena_create(uint64_t bytes)
{
	uintptr_t raw, start;

	host_arena_destroy();
	bytes = ALIGN_UP(bytes, PAGE_SIZE);
	raw = (uintptr_t)mmap(NULL, bytes + ARENA_ALIGN, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == (uintptr_t)MAP_FAILED) {
		perror("arena");
		exit(1);
	}
	start = ALIGN_UP(raw, ARENA_ALIGN);
	if (start > raw)
		munmap((void *)raw, start - raw);
	munmap((void *)(start + bytes), raw + ARENA_ALIGN - start);
	madvise((void *)start, bytes, MADV_HUGEPAGE); /* gigabytes are cleared faster */
	host_direct_map = start;
	arena_bytes = bytes;
	atomic_store(&host_flushes, 0);
	atomic_store(&host_reloads, 0);
}

void host_arena_with_frames(uint64_t bytes)
{
	struct mem_range all = {HPA(0), bytes};

	host_arena_create(bytes);
	if (frames_init(&all, 1, NULL, 0)) {
		fprintf(stderr, "arena of %llu bytes is too small\n", (unsigned long long)bytes);
		exit(1);
	}
}

void host_set_nr_cpus(unsigned nr)
{
	nr_cpus = nr;
}

void host_set_cpu(unsigned id)
{
	this_cpu = id;
}

void host_relax(void)
{
	if (host_on_spin)
		host_on_spin();
	else
		__asm__ volatile("pause");
}

unsigned host_cpu_id(void)
{
	if (host_on_ask)
		host_on_ask();
	return this_cpu;
}

unsigned host_nr_cpus(void)
{
	return nr_cpus;
}

void host_flush_vm(struct vm *vm)
{
	atomic_fetch_add(&host_flushes, 1);
	if (host_on_flush)
		host_on_flush(vm);
}

void host_reload_roots(struct vm *vm)
{
	atomic_fetch_add(&host_reloads, 1);
	if (host_on_reload)
		host_on_reload(vm);
}

void host_log_writes(struct vm *vm, bool on)
{
	if (host_on_log)
		host_on_log(vm, on);
}

void host_gather_writes(struct vm *vm)
{
	if (host_on_gather)
		host_on_gather(vm);
}
