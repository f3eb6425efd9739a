/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks on the CPUs: switching them on, reading the banks, and going on or ending. */
#include "arch/x86/mce.h"

#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/irq.h"
#include "arch/x86/layout.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/panic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/trap.h"
#include "lib/log.h"

#define BANK_TEXT 160

/* From this model of family 6 on, bank 0 is like the others (SDM volume 3, 15.8). */
#define FIRST_MODEL_WITH_BANK_0 0x1a

static struct mce_record records[CPU_MAX]; /* each written by its CPU: see mce.h */
static bool can_tell __ro_after_init;      /* errors without harm, by an interrupt */

static unsigned bank_count(uint64_t mcg_cap)
{
	return mcg_cap & MCG_CAP_COUNT;
}

/* 0: this CPU has no banks. */
static uint64_t read_mcg_cap(void)
{
	uint64_t cap;

	if (!cpu_reports(CPUID_MCA) || rdmsr_safe(MSR_MCG_CAP, &cap))
		return 0;
	return cap;
}

/* False: it tells of no error. */
static bool read_bank(unsigned number, struct mce_bank *bank)
{
	*bank = (struct mce_bank){.number = number};
	if (rdmsr_safe(MSR_MC_STATUS(number), &bank->status) || !(bank->status & MCI_STATUS_VAL))
		return false;
	if (bank->status & MCI_STATUS_ADDRV)
		rdmsr_safe(MSR_MC_ADDR(number), &bank->addr);
	if (bank->status & MCI_STATUS_MISCV)
		rdmsr_safe(MSR_MC_MISC(number), &bank->misc);
	return true;
}

/* The firmware's, in bank 0 of family 6's first models. */
static bool may_switch_on(unsigned number)
{
	uint32_t signature = cpuid(1).eax;
	unsigned family = signature >> 8 & 0xf;
	unsigned model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);

	return number || family != 6 || model >= FIRST_MODEL_WITH_BANK_0;
}

/* An error that is there when Umbra starts may be the reason of the last reset. */
static void tell_of_before(const struct mce_bank *bank)
{
	char text[BANK_TEXT];

	mce_describe_bank(bank, text, sizeof(text));
	log_warn("mce: CPU with APIC id %u, from before the start: %s", this_cpu()->apic_id, text);
}

static void init_banks(uint64_t mcg_cap)
{
	struct mce_bank bank;

	if (mcg_cap & MCG_CAP_CTL_P)
		wrmsr_safe(MSR_MCG_CTL, ~0ull);
	for (unsigned i = 0; i < bank_count(mcg_cap); i++) {
		if (may_switch_on(i))
			wrmsr_safe(MSR_MC_CTL(i), ~0ull);
		if (read_bank(i, &bank))
			tell_of_before(&bank);
		wrmsr_safe(MSR_MC_STATUS(i), 0);
	}
}

void mce_init_cpu(void)
{
	if (!cpu_reports(CPUID_MCE))
		return;
	init_banks(read_mcg_cap());
	write_cr4(read_cr4() | CR4_MCE);
}

static void read_banks(struct mce_record *r)
{
	struct mce_bank bank;

	for (unsigned i = 0; i < bank_count(r->mcg_cap); i++)
		if (read_bank(i, &bank))
			mce_add_bank(r, &bank);
}

/* All goes on. What does harm and has come since stays: its own #MC follows. */
static void clear_banks(const struct mce_record *r)
{
	struct mce_bank bank;

	for (unsigned i = 0; i < bank_count(r->mcg_cap); i++)
		if (read_bank(i, &bank) && !mce_bank_harm(r, &bank))
			wrmsr_safe(MSR_MC_STATUS(i), 0);
}

static void fill(struct mce_record *r)
{
	atomic_store_explicit(&r->nr, 0, memory_order_relaxed);
	r->nr_errors = 0;
	r->harm = NULL;
	r->is_intel = cpu_vendor() == VENDOR_INTEL;
	r->mcg_cap = read_mcg_cap();
	rdmsr_safe(MSR_MCG_STATUS, &r->mcg_status);
	read_banks(r);
}

static void print_record(unsigned cpu)
{
	const struct mce_record *r = &records[cpu];
	unsigned nr = atomic_load_explicit(&r->nr, memory_order_acquire);
	char text[BANK_TEXT];

	for (unsigned i = 0; i < nr; i++) {
		mce_describe_bank(&r->bank[i], text, sizeof(text));
		log_error("mce: CPU %u, %s", cpu, text);
	}
	if (r->nr_errors > nr)
		log_error("mce: CPU %u, %u further banks", cpu, r->nr_errors - nr);
}

static void print_all(void)
{
	const struct mce_record *r = &records[cpu_id()];

	log_error("mce: CPU %u, MCG_STATUS %lx, MCG_CAP %lx", cpu_id(), r->mcg_status, r->mcg_cap);
	print_record(cpu_id());
	for (unsigned i = 0; i < cpu_count(); i++)
		if (i != cpu_id())
			print_record(i);
}

/* They come one by one or in a storm, and the log is for more than these. */
static void tell(unsigned vector)
{
	static struct log_rate rate;
	const struct mce_record *r = &records[cpu_id()];
	char text[BANK_TEXT];

	(void)vector;
	for (unsigned i = 0; i < r->nr; i++) {
		mce_describe_bank(&r->bank[i], text, sizeof(text));
		log_line_rated(&rate, LOG_WARN, "mce: CPU %u, no harm was done: %s", cpu_id(),
			       text);
	}
}

void mce_init(void)
{
	irq_register(IRQ_VECTOR_MCE, tell);
	can_tell = true;
}

/*
 * Has it interrupted the handler of an NMI, or of a machine check that has just let the next one
 * in? The way back from here would let NMIs in as well, and each of these handlers begins at the
 * top of a stack of its own, on which the interrupted one still is (SDM volume 3, 6.7.1, 6.14.5).
 */
static bool is_in_handler(const struct trap_frame *frame)
{
	uint64_t top = this_cpu()->stack_top;

	return frame && frame->rsp > top &&
	       frame->rsp - top <= sizeof(((struct cpu_stacks *)0)->ist);
}

void mce_handle(const struct trap_frame *frame)
{
	struct mce_record *r = &records[cpu_id()];
	const char *why;

	fill(r);
	why = mce_why_fatal(r);
	if (!why && is_in_handler(frame))
		why = "it came in the handler of an NMI or a machine check";
	if (why)
		panic_machine_check(frame, why, print_all);
	clear_banks(r);
	if (can_tell && r->nr_errors)
		apic_send_self(IRQ_VECTOR_MCE);
	wrmsr_safe(MSR_MCG_STATUS, 0); /* until then, another #MC is a shutdown */
}
