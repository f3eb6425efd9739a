/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One counter of the 8254, as arithmetic on time: nothing counts, and each question (the count,
 * OUT, the next rising edge) is answered from the tick at which the count was loaded. Times are
 * in ticks of PIT_HZ. The bytes of the ports are pit.c's matter.
 */
#ifndef VMM_DEV_PIT_CHANNEL_H
#define VMM_DEV_PIT_CHANNEL_H

#include "vmm/dev/pit.h"

/* A control word was written: nothing counts until a count comes. */
void pit_channel_program(struct pit_channel *ch, unsigned mode, bool bcd);

/* A whole count was written: binary or BCD as programmed, 0 is the largest. */
void pit_channel_write_count(struct pit_channel *ch, uint16_t val, uint64_t now);

void pit_channel_set_gate(struct pit_channel *ch, bool gate, uint64_t now);

/* Load a count that waited for the end of a (half) cycle. True if that happened. */
bool pit_channel_settle(struct pit_channel *ch, uint64_t now);

/* These three want a settled channel. */
uint16_t pit_channel_value(const struct pit_channel *ch, uint64_t now);
bool pit_channel_out(const struct pit_channel *ch, uint64_t now);
bool pit_channel_is_null(const struct pit_channel *ch, uint64_t now); /* status: null count */

/* Modes 2 and 3. */
bool pit_channel_is_periodic(const struct pit_channel *ch);

/* When OUT rises next, after `now`, if nothing is written: a tick, or TIMER_NEVER. */
uint64_t pit_channel_next_rise(const struct pit_channel *ch, uint64_t now);

#endif
