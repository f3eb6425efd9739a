/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 interval timer (Intel 8254 datasheet) and port 0x61. All functions: the VM's device
 * lock is held. The timer callback runs without it and takes it through `lock`.
 */
#ifndef VMM_DEV_PIT_H
#define VMM_DEV_PIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spinlock.h"
#include "vmm/dev/irq_line.h"
#include "vmm/dev/timer.h"

#define PIT_HZ           1193182ull
#define PIT_PORT         0x40 /* 4 ports */
#define PIT_SPEAKER_PORT 0x61

struct pit_channel {
	uint8_t mode;   /* 0-5 */
	uint8_t access; /* RW bits of the control word: 1 LSB, 2 MSB, 3 both */
	bool bcd;
	bool gate;
	bool loaded;                /* a count has been written since the control word */
	bool triggered;             /* modes 1 and 5: the gate has risen since */
	bool write_high, read_high; /* access 3: the other byte comes next */
	uint8_t write_low;
	uint32_t count;      /* initial count in ticks, 1-0x10000 (BCD: 10000) */
	uint32_t next_count; /* written while counting, loaded later; 0 = none */
	uint64_t load_at;    /* modes 2 and 3: tick at which next_count is loaded */
	uint64_t start;      /* tick at which `count` was loaded; may wrap below 0 */
	uint64_t frozen;     /* ticks into the count while the gate stops it */
	bool status_latched;
	uint8_t status;
	uint8_t latched_bytes; /* of `latch`, still to be read */
	uint16_t latch;
};

struct pit {
	struct pit_channel ch[3];
	struct irq_line irq; /* channel 0's OUT */
	bool irq_level;
	uint8_t port61;        /* its writable bits, 3:0; bit 0 is channel 2's gate */
	struct spinlock *lock; /* the device lock, for the timer callback */
	struct timer timer;
	uint64_t next_rise; /* tick of channel 0's next rising edge of OUT, or TIMER_NEVER */
};

/* Power-up state. `irq` gets channel 0's OUT; `lock` is the device lock. */
void pit_init(struct pit *p, const struct irq_line *irq, struct timer_queue *queue,
	      struct spinlock *lock);
void pit_reset(struct pit *p);

/*
 * As a PC's firmware leaves it: channel 0 counts the time of day, 65,536 ticks a round (mode 2).
 * Its interrupt is masked in the 8259 all the same (pic_set_pc_defaults()).
 */
void pit_set_pc_defaults(struct pit *p);

/* For bus regions at 0x40 (4 ports) and 0x61 (1 port), both with `dev` = the pit. */
uint64_t pit_read(void *dev, uint64_t off, unsigned size);
void pit_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t pit_speaker_read(void *dev, uint64_t off, unsigned size);
void pit_speaker_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
