/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calendar arithmetic. Years are counted from March, so that the leap day is the last one of a
 * year and the days before a month follow from one linear formula: the five months from March
 * on have 153 days, and so do the next five.
 */
#include "lib/bits.h"
#include "vmm/dev/rtc_time.h"

#define SECONDS_PER_DAY  86400
#define DAYS_PER_ERA     146097 /* 400 years */
#define DAYS_TO_1970     719468 /* from 0000-03-01 */
#define WEEKDAY_OF_EPOCH 4      /* 1970-01-01 was a Thursday */

/* Days from March 1 to the first of the month that is `m` months after March. */
static int days_before_month(int m)
{
	return (153 * m + 2) / 5;
}

int64_t rtc_time_to_seconds(const struct rtc_time *t)
{
	int month = t->month < 1 ? 1 : min(12, t->month);
	int from_march = (month + 9) % 12;
	int64_t year = t->year - (month <= 2);
	int64_t days = year * 365 + year / 4 - year / 100 + year / 400;

	days += days_before_month(from_march) + t->day - 1 - DAYS_TO_1970;
	return days * SECONDS_PER_DAY + t->hour * 3600 + t->minute * 60 + t->second;
}

void rtc_time_from_seconds(int64_t s, struct rtc_time *t)
{
	int64_t days = s / SECONDS_PER_DAY + DAYS_TO_1970;
	int64_t era = days / DAYS_PER_ERA, day = days % DAYS_PER_ERA;
	/* The year of the era: take out the leap days before it. */
	int64_t year = (day - day / 1460 + day / 36524 - day / (DAYS_PER_ERA - 1)) / 365;
	int from_march;

	day -= year * 365 + year / 4 - year / 100;
	from_march = (5 * day + 2) / 153;
	t->day = day - days_before_month(from_march) + 1;
	t->month = from_march < 10 ? from_march + 3 : from_march - 9;
	t->year = era * 400 + year + (t->month <= 2);
	t->weekday = (s / SECONDS_PER_DAY + WEEKDAY_OF_EPOCH) % 7;
	s %= SECONDS_PER_DAY;
	t->hour = s / 3600;
	t->minute = s / 60 % 60;
	t->second = s % 60;
}
