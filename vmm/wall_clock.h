/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of day, which guests' real-time clocks begin with. */
#ifndef VMM_WALL_CLOCK_H
#define VMM_WALL_CLOCK_H

#include <stdint.h>

/* Read the machine's real-time clock; without one it is 1970, and a warning says so. Boot CPU. */
void wall_clock_init(void);

/* The time of day now, seconds since 1970. */
int64_t wall_clock_now(void);

#endif
