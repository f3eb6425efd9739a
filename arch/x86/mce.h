/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine checks (Intel SDM volume 3, chapter 15, "Machine-Check Architecture"; APM volume 2,
 * chapter 9): the CPU tells of an error of the hardware, in banks of MSRs, and raises #MC for one
 * that it could not correct. They are the machine's, whatever runs: a guest that happens to run
 * leaves by an exit (both back ends have CR4.MCE set and #MC intercepted), knows nothing of it, and
 * has banks of its own that never report anything (vmm/exit/msr.c).
 *
 * An error that has done no harm, as the manuals define it, is told in the log, and all goes on.
 * Any other is the end of the machine: the report has the banks of every CPU that got a #MC.
 *Intel's CPUs all get one together.
 *
 * A #MC comes at any instruction, also where a lock of the log is held. So what the handler finds
 * is left in the CPU's record, and is told from an interrupt that it sends to itself:
 *
 *	handler (#MC), CPU n			CPU that reports
 *	record.bank[i] = ...
 *	record.nr = i + 1  (release)
 *						nr = record.nr  (acquire)
 *						print bank[0 ... nr - 1]
 *
 * The NMI of a CPU that ends the machine may stop another one in the middle of this: what it had
 * by then is told.
 */
#ifndef ARCH_X86_MCE_H
#define ARCH_X86_MCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one bank says. `addr` and `misc` are 0 where its status does not vouch for them. */
struct mce_bank {
	unsigned number;
	uint64_t status, addr, misc;
};

#define MCE_MAX_BANKS 8 /* of one CPU and machine check that are told; others are counted */

/* What a CPU has found at a machine check. Owned by the CPU; for others see above. */
struct mce_record {
	uint64_t mcg_cap, mcg_status;
	bool is_intel;
	unsigned nr_errors; /* banks that tell of one */
	const char *harm;   /* of an error in a bank, in words; NULL: none has done any */
	_Atomic unsigned nr;
	struct mce_bank bank[MCE_MAX_BANKS];
};

/* ---- mce_verdict.c: what the architecture says of it; no machine in it ---- */

/* Add a bank whose status is valid. */
void mce_add_bank(struct mce_record *r, const struct mce_bank *bank);

/* The harm that an error has done, in words; NULL: none, what was interrupted can go on. */
const char *mce_bank_harm(const struct mce_record *r, const struct mce_bank *bank);

/* Why the machine has to stop, in words, when all banks are added; NULL: it can go on. */
const char *mce_why_fatal(const struct mce_record *r);

/* One line without an end about a bank, into `text` of `len` bytes. */
void mce_describe_bank(const struct mce_bank *bank, char *text, size_t len);

/* ---- mce.c: the CPUs ---- */

struct trap_frame;

/*
 * On each CPU, once its IDT is loaded: tell of errors that are in its banks from before, switch on
 * all reports of errors, and machine checks. SDM volume 3, 15.8, "Machine-Check Initialization".
 */
void mce_init_cpu(void);

/* On the boot CPU, when interrupts work: from now on errors without harm are told at once. */
void mce_init(void);

/*
 * A #MC has arrived on this CPU: `frame` is what it interrupted; NULL: it ended the run of a guest.
 * Returns if what was interrupted can go on. Interrupts are closed; any context.
 */
void mce_handle(const struct trap_frame *frame);

#endif
