/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real-time clock and its 128 bytes of CMOS memory (Motorola MC146818 datasheet, IBM AT
 * register map). All functions: the VM's device lock is held. The timer callback runs without it
 * and takes it through `lock`.
 */
#ifndef VMM_DEV_RTC_H
#define VMM_DEV_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spinlock.h"
#include "vmm/dev/irq_line.h"
#include "vmm/dev/timer.h"

#define RTC_PORT     0x70 /* 2 ports: index, data */
#define RTC_IRQ      8
#define RTC_CENTURY  0x32 /* for the FADT's CENTURY field */
#define RTC_SHUTDOWN 0x0f /* shutdown status byte */

struct rtc {
	uint8_t index;          /* 7 bits */
	uint8_t cmos[128];      /* the time registers are current only while the clock stands */
	int64_t base_s;         /* the guest's time, seconds since 1970, at ... */
	uint64_t base_ns;       /* ... this moment, which is that of an update */
	unsigned weekday_shift; /* the guest's weekday - the calendar's */
	uint64_t synced_ns;     /* register C has all events up to here */
	bool irq_level;
	struct irq_line irq;
	struct spinlock *lock; /* the device lock, for the timer callback */
	struct timer timer;
};

/*
 * The clock starts at `unix_time` (seconds since 1970, UTC). `ram_bytes` is the guest's RAM, for
 * the memory-size bytes: all of it above and below the MMIO hole.
 */
void rtc_init(struct rtc *r, int64_t unix_time, uint64_t ram_bytes, const struct irq_line *irq,
	      struct timer_queue *queue, struct spinlock *lock);

/* For a bus region of two ports with `dev` = the rtc. */
uint64_t rtc_read(void *dev, uint64_t off, unsigned size);
void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val);

/* CMOS memory behind the guest's back, index 0x0e-0x7f: for the board's configuration bytes. */
void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t val);

#endif
