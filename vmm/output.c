/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot CPU's part of the machine's output: see output.h. */
#include "vmm/output.h"

#include <stdbool.h>
#include <stdint.h>

#include "drivers/screen.h"
#include "drivers/serial.h"
#include "drivers/txring.h"
#include "lib/bits.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/console.h"
#include "vmm/cpu.h"

/* A UART's FIFO of 16 bytes lasts for 1.4 ms at 115,200 bits a second. */
#define POLL_NS    NSEC_PER_MSEC
#define LOOK_NS    (10 * NSEC_PER_MSEC) /* after interrupts that may have got lost */
#define DRAW_SHARE 10                   /* of the boot CPU's time, one part is for the screen */

/* All of the boot CPU. */
static struct timer timer;
static bool is_armed;
static uint64_t next_drawing;

/* When to draw again; TIMER_NEVER: there is nothing more. */
static uint64_t draw(uint64_t now)
{
	if (!screen_is_dirty())
		return TIMER_NEVER;
	if (now < next_drawing)
		return next_drawing;
	screen_draw_some();
	next_drawing = now + max((clock_ns() - now) * DRAW_SHARE, POLL_NS);
	return screen_is_dirty() ? next_drawing : TIMER_NEVER;
}

static void arm(uint64_t deadline)
{
	is_armed = deadline != TIMER_NEVER;
	if (is_armed)
		timer_arm(&timer, deadline);
}

static void fire(struct timer *t)
{
	uint64_t now = clock_ns(), next;
	bool polled, more = serial_drain_all(&polled);

	(void)t;
	next = draw(now);
	console_wake();
	log_tell_lost();
	if (polled)
		next = min(next, now + POLL_NS);
	else if (more || console_is_waiting())
		next = min(next, now + LOOK_NS);
	arm(next);
}

/*
 * The boot CPU goes once round its loop, and its vCPUs get time slices until no output waits. A
 * kick alone is not enough on a CPU that takes no interrupt while its guest has them closed
 * (docs/testing.md), for a guest that does nothing but exit.
 */
static void wake(void)
{
	vmm_cpu_reschedule(vmm_cpu_by_id(0));
}

bool output_is_pending(void)
{
	return tx_is_watched() || screen_is_dirty() || console_is_waiting();
}

void output_start(void)
{
	timer_init(&timer, &vmm_cpu_by_id(0)->timers, fire);
	tx_go_background(wake);
}

void output_poll(void)
{
	if (unlikely(console_is_waiting()))
		console_wake();
	if (!is_armed && output_is_pending())
		arm(clock_ns());
}
