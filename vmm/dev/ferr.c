/* SPDX-License-Identifier: BSD-2-Clause */
/* The latch between FERR# and IRQ 13, and IGNNE#. */
#include "vmm/dev/ferr.h"

static void set_line(struct ferr *f, bool level)
{
	if (level == f->is_raised)
		return;
	f->is_raised = level;
	irq_set(&f->irq, level);
}

bool ferr_report(struct ferr *f, bool interrupts_open)
{
	if (f->is_ignored && !interrupts_open)
		return true;
	f->is_ignored = false;
	set_line(f, true);
	return false;
}

uint64_t ferr_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	return ~0ull >> (64 - 8 * size);
}

/* Any value. Without an error there is nothing to ignore. */
void ferr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ferr *f = dev;

	(void)off;
	(void)size;
	(void)val;
	f->is_ignored |= f->is_raised;
	set_line(f, false);
}
