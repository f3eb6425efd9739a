/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of one CPU, and the word that it has come: see stop.h. It calls nothing that can fail. */
#include "arch/x86/stop.h"

#include <stdatomic.h>

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "lib/log.h"

static _Atomic bool stopping; /* an NMI means: stop */

void stop_begin(void)
{
	/* Before an NMI is sent: the other CPUs look at it when that arrives. */
	atomic_store(&stopping, true);
	/* Who holds it may never go on. */
	log_break_lock();
}

bool stop_in_progress(void)
{
	return atomic_load_explicit(&stopping, memory_order_relaxed);
}

__noreturn void stop_this_cpu(void)
{
	/* Release: pairs with the acquire in smp_stop_others(). */
	atomic_store_explicit(&this_cpu()->stopped, true, memory_order_release);
	for (;;) {
		cli();
		hlt();
	}
}
