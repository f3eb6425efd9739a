/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86/nmi.h"

#include <stdatomic.h>
#include <stdint.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/panic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/stop.h"
#include "arch/x86/symbols.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

#define PORT_61 0x61 /* NMI status: bit 7 SERR# (or parity), bit 6 IOCHK# */

/* Each is its CPU's own. */
static struct {
	uint64_t rip;
	uint8_t status; /* of PORT_61 */
	_Atomic bool noted;
} notes[CPU_MAX];

static bool may_report __ro_after_init; /* the interrupt has its handler */
static bool is_fatal __ro_after_init;

static const char *reason(uint8_t status)
{
	if (status & BIT(7))
		return "system error (SERR#)";
	return status & BIT(6) ? "I/O channel check" : "unknown reason, perhaps a button";
}

static void report(unsigned vector)
{
	unsigned cpu = cpu_id();
	char guest[PANIC_GUEST_LEN];
	const char *name;
	uint64_t off = 0;

	(void)vector;
	if (!atomic_exchange(&notes[cpu].noted, false))
		return;
	name = symbol_find(notes[cpu].rip, &off);
	panic_describe_guest(guest, sizeof(guest));
	log_guest(LOG_WARN, "nmi: CPU %u: %s (port 0x61: 0x%02x), at %016lx %s+0x%lx, guest: %s",
		  cpu, reason(notes[cpu].status), notes[cpu].status, notes[cpu].rip,
		  name ? name : "?", off, guest);
}

void nmi_init(bool panics)
{
	irq_register(IRQ_VECTOR_NMI, report);
	is_fatal = panics;
	may_report = true;
}

void nmi_take(const struct trap_frame *frame)
{
	unsigned cpu = cpu_id();

	if (stop_in_progress())
		stop_this_cpu();
	if (is_fatal)
		panic_trap(frame);
	if (!may_report)
		return;
	notes[cpu].rip = frame->rip;
	notes[cpu].status = inb(PORT_61);
	atomic_store(&notes[cpu].noted, true);
	apic_send_self(IRQ_VECTOR_NMI);
}
