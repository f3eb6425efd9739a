/* SPDX-License-Identifier: BSD-2-Clause */
/* Calendar arithmetic of the real-time clock: seconds since 1970 (UTC) and back. */
#ifndef VMM_DEV_RTC_TIME_H
#define VMM_DEV_RTC_TIME_H

#include <stdint.h>

struct rtc_time {
	int year;       /* 1970... */
	int month, day; /* 1-12, 1-31 */
	int hour, minute, second;
	int weekday; /* 0 = Sunday */
};

/* Proleptic Gregorian calendar; `s` not negative. */
void rtc_time_from_seconds(int64_t s, struct rtc_time *t);

/* Values out of their range count on (second 75 is 15 of the next minute); the month is clamped. */
int64_t rtc_time_to_seconds(const struct rtc_time *t);

#endif
