/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the boot CPU does for the machine's output, beside the serial ports' interrupts: a timer
 * runs while bytes wait. It empties the rings of ports that have no interrupt, and of those whose
 * interrupt got lost; draws on the screen; has guests go on that wait for room; and says what the
 * log had to leave out.
 */
#ifndef VMM_OUTPUT_H
#define VMM_OUTPUT_H

#include <stdbool.h>

/* The CPUs' timers and loops work: from now on nobody waits for a device. Boot CPU, once. */
void output_start(void);

/* Does output wait that the boot CPU has to look after? Boot CPU. */
bool output_is_pending(void);

/* After interrupts: start the timer if there is something to do, wake who waits. Boot CPU. */
void output_poll(void);

#endif
