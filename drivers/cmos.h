/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's real-time clock (MC146818 and successors), for the time of day that guests get. */
#ifndef DRIVERS_CMOS_H
#define DRIVERS_CMOS_H

#include <stdbool.h>

struct cmos_time {
	int year, month, day; /* 1970 and later, 1-12, 1-31 */
	int hour, minute, second;
};

/* The date and time by the clock. False: it does not answer, or not sensibly. Boot CPU. */
bool cmos_read_time(struct cmos_time *t);

#endif
