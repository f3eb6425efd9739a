/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read once at the start. The registers change under the reader once a second: they are read until
 * two readings agree, with no update under way (MC146818A data sheet, "Update Cycle").
 */
#include "drivers/cmos.h"

#include <stdint.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "lib/bits.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

#define REG_A       0x0a
#define REG_A_UIP   BIT(7)
#define REG_B       0x0b
#define REG_B_24H   BIT(1)
#define REG_B_BIN   BIT(2)
#define REG_CENTURY 0x32
#define HOUR_PM     0x80

#define MAX_TRIES 100000

struct reading {
	uint8_t sec, min, hour, day, month, year, century;
};

/* Bit 7 of the index would keep the machine's NMIs out, and stay. */
static uint8_t read_reg(uint8_t reg)
{
	outb(CMOS_INDEX, reg);
	return inb(CMOS_DATA);
}

static struct reading read_all(void)
{
	return (struct reading){
		.sec = read_reg(0),
		.min = read_reg(2),
		.hour = read_reg(4),
		.day = read_reg(7),
		.month = read_reg(8),
		.year = read_reg(9),
		.century = read_reg(REG_CENTURY),
	};
}

static bool read_stable(struct reading *r)
{
	for (unsigned i = 0; i < MAX_TRIES; i++) {
		struct reading again;

		if (read_reg(REG_A) & REG_A_UIP)
			continue;
		*r = read_all();
		again = read_all();
		if (!memcmp(r, &again, sizeof(again)))
			return true;
	}
	return false;
}

static int binary(uint8_t val, uint8_t reg_b)
{
	return reg_b & REG_B_BIN ? val : (val >> 4) * 10 + (val & 0xf);
}

static int hour_of_day(uint8_t val, uint8_t reg_b)
{
	if (reg_b & REG_B_24H)
		return binary(val, reg_b);
	return binary(val & (uint8_t)~HOUR_PM, reg_b) % 12 + (val & HOUR_PM ? 12 : 0);
}

static bool is_sensible(const struct cmos_time *t)
{
	return t->year >= 1970 && t->month >= 1 && t->month <= 12 && t->day >= 1 && t->day <= 31 &&
	       t->hour < 24 && t->minute < 60 && t->second < 60;
}

bool cmos_read_time(struct cmos_time *t)
{
	uint8_t reg_b = read_reg(REG_B);
	struct reading r;
	int century;

	if (!read_stable(&r))
		return false;
	century = binary(r.century, reg_b);
	if (century < 19 || century > 29)
		century = 20; /* not every clock keeps it, or keeps it there */
	*t = (struct cmos_time){
		.year = century * 100 + binary(r.year, reg_b),
		.month = binary(r.month, reg_b),
		.day = binary(r.day, reg_b),
		.hour = hour_of_day(r.hour, reg_b),
		.minute = binary(r.min, reg_b),
		.second = binary(r.sec, reg_b),
	};
	return is_sensible(t);
}
