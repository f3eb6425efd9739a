/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLB tags (ASIDs, VPIDs) of one physical CPU. A vCPU that has to forget its translations takes a
 * tag that nobody has used since the CPU's last full flush; when they are used up, everything is
 * flushed and a new generation begins. A tag of an old generation is no longer valid.
 */
#ifndef ARCH_X86_TAGS_H
#define ARCH_X86_TAGS_H

#include <stdbool.h>
#include <stdint.h>

/* Owned by its CPU. Tag 0 is the host's. */
struct tag_pool {
	uint64_t generation; /* never 0; no two CPUs have the same */
	uint32_t next;
};

static inline void tag_pool_init(struct tag_pool *p, unsigned cpu)
{
	*p = (struct tag_pool){.generation = (uint64_t)cpu << 48 | 1, .next = 1};
}

/* The next tag, of `nr` with the host's. *flush: all tags of this CPU must be flushed with it. */
static inline uint32_t tag_take(struct tag_pool *p, unsigned nr, bool *flush)
{
	*flush = p->next >= nr;
	if (*flush) {
		p->next = 1;
		p->generation++;
	}
	return p->next++;
}

#endif
