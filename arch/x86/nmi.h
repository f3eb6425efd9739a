/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NMIs that nobody here has sent: a button on the machine, or its report of an error in memory or
 * on a bus. The log gets a line for each CPU that takes one. The handler itself may have
 *interrupted whoever holds the log's lock, so it only notes where, and sends its own CPU an
 *interrupt, whose handler writes the line:
 *
 *	NMI handler			interrupt handler, the same CPU
 *	note the place, noted = true
 *	self-IPI		   --->	noted = false
 *					write the line
 *
 * A second NMI in between changes the place, and is told of by the same line or by one more.
 */
#ifndef ARCH_X86_NMI_H
#define ARCH_X86_NMI_H

#include <stdbool.h>

struct trap_frame;

/* Boot CPU, before an NMI can come. `panics`: an NMI is the end of the machine, with a report. */
void nmi_init(bool panics);

/* Called by the trap handler for an NMI; does not return while the machine is being stopped. */
void nmi_take(const struct trap_frame *frame);

#endif
