/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device model is connected to in a test: an interrupt line that counts its edges, and a
 * host that remembers what the board asked of it.
 */
#ifndef TESTS_UNIT_SUPPORT_WIRES_H
#define TESTS_UNIT_SUPPORT_WIRES_H

#include "vmm/dev/irq_line.h"
#include "vmm/dev/platform.h"

struct wire {
	struct irq_line line; /* to give to the model */
	bool level;
	unsigned rises;
};

static inline void wire_set(void *ctx, unsigned line, bool level)
{
	struct wire *w = ctx;

	w->rises += level && !w->level;
	w->level = level;
}

static inline void wire_init(struct wire *w)
{
	*w = (struct wire){.line = {.set = wire_set, .ctx = w}};
}

/* The last event of a VM, and how many there were; the VM of the host is a struct events. */
struct events {
	unsigned nr;
	enum vm_event last;
	uint32_t value;
};

static inline void events_record(void *vm, enum vm_event event, uint32_t value)
{
	struct events *e = vm;

	e->nr++;
	e->last = event;
	e->value = value;
}

#endif
