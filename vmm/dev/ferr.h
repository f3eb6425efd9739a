/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's wiring of x87 errors, for guests that leave CR0.NE clear (SDM volume 1, 8.7.2
 * and 8.7.3). The CPU's FERR# raises IRQ 13, which stays until port 0xf0 is written. That write
 * also asserts IGNNE#, under which waiting x87 instructions go on despite the error, until FERR# is
 * taken back. When that happens no hypervisor sees: FNCLEX does not exit. So IGNNE# counts until
 * the next error that is met with interrupts open, which is taken for a new one.
 *
 * All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_FERR_H
#define VMM_DEV_FERR_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/irq_line.h"

#define FERR_PORT 0xf0
#define FERR_IRQ  13

struct ferr {
	struct irq_line irq; /* const */
	bool is_raised;      /* what the line was last driven to */
	bool is_ignored;     /* IGNNE# */
};

/*
 * A CPU is about to execute a waiting instruction while an error waits. True: it ignores that.
 * False: it stands still before the instruction, until an interrupt comes.
 */
bool ferr_report(struct ferr *f, bool interrupts_open);

/* For a bus region of one port with `dev` = the ferr. */
uint64_t ferr_read(void *dev, uint64_t off, unsigned size);
void ferr_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
