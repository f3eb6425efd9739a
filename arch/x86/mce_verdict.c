/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the banks of a machine check mean: whether harm was done, and the text about them. Apart
 * from the CPUs (mce.c), so that it can be tested with every kind of error.
 */
#include <stdio.h>

#include "arch/x86/mce.h"
#include "arch/x86/regs.h"
#include "lib/bits.h"

typedef unsigned long long ull;

/*
 * AMD: an error that was not corrected has hit what is running, or the memory of somebody; one that
 * nobody has used yet is "deferred", and not marked as uncorrected (APM volume 2, 9.3.2.1). Intel
 * tells more where it can recover by software (SDM volume 3, 15.6): without S it is a matter of
 * nobody who runs (UCNA), with S and without AR nothing has used it (SRAO); with AR something is
 * about to (SRAR). An overflow may have lost a worse one.
 */
const char *mce_bank_harm(const struct mce_record *r, const struct mce_bank *bank)
{
	uint64_t status = bank->status;

	if (!(status & MCI_STATUS_UC))
		return NULL;
	if (status & MCI_STATUS_PCC)
		return "the processor's context is corrupt";
	if (!r->is_intel || !(r->mcg_cap & MCG_CAP_SER_P))
		return "an error could not be corrected";
	if (status & MCI_STATUS_OVER)
		return "more errors came than a bank can tell";
	if (status & MCI_STATUS_AR)
		return "what is running needs data that is lost";
	return NULL;
}

void mce_add_bank(struct mce_record *r, const struct mce_bank *bank)
{
	unsigned nr = atomic_load_explicit(&r->nr, memory_order_relaxed);
	const char *harm = mce_bank_harm(r, bank);

	if (!r->harm)
		r->harm = harm;
	r->nr_errors++;
	if (nr < MCE_MAX_BANKS) {
		r->bank[nr] = *bank;
		atomic_store_explicit(&r->nr, nr + 1, memory_order_release);
	} else if (harm) {
		r->bank[MCE_MAX_BANKS - 1] = *bank; /* rather than one without */
	}
}

/*
 * Intel's CPUs all get the #MC of one of them, unless it says that it is local: one without an
 * error of its own only looks on (SDM volume 3, 15.10.4.1), and the one that has it decides.
 */
static bool only_looks_on(const struct mce_record *r)
{
	return r->is_intel && !(r->mcg_status & (MCG_STATUS_EIPV | MCG_STATUS_LMCES));
}

const char *mce_why_fatal(const struct mce_record *r)
{
	if (r->harm)
		return r->harm;
	if (!(r->mcg_status & MCG_STATUS_RIPV))
		return "what was interrupted cannot go on";
	if (!r->nr_errors && !only_looks_on(r))
		return "no bank says why";
	return NULL;
}

/*
 * The MCA error code, bits 15:0 of the status: simple and compound codes (SDM volume 3, 15.9; APM
 * volume 2, 9.3.3). Bit 12 of Intel's compound codes says only how reports are filtered.
 */
static const char *kind_of(uint16_t code)
{
	static const struct {
		uint16_t mask, value;
		const char *name;
	} kinds[] = {
		{0xffff, 0x0000, "no code"},         {0xffff, 0x0001, "unclassified"},
		{0xffff, 0x0002, "microcode ROM"},   {0xffff, 0x0003, "from another CPU"},
		{0xffff, 0x0005, "internal parity"}, {0xffff, 0x0400, "internal timer"},
		{0xfc00, 0x0400, "internal"},        {0xeff0, 0x0010, "TLB"},
		{0xeffc, 0x000c, "cache hierarchy"}, {0xef80, 0x0080, "memory controller"},
		{0xef00, 0x0100, "cache or memory"}, {0xe800, 0x0800, "bus or interconnect"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((code & kinds[i].mask) == kinds[i].value)
			return kinds[i].name;
	return "unknown kind";
}

/* Flags by name, each with a blank in front. */
static int describe_flags(uint64_t status, char *text, size_t len)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} flags[] = {
		{MCI_STATUS_OVER, "OVER"}, {MCI_STATUS_UC, "UC"}, {MCI_STATUS_EN, "EN"},
		{MCI_STATUS_PCC, "PCC"},   {MCI_STATUS_S, "S"},   {MCI_STATUS_AR, "AR"},
	};
	int n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (status & flags[i].bit)
			n += snprintf(text + n, len - (size_t)n, " %s", flags[i].name);
	return n;
}

void mce_describe_bank(const struct mce_bank *bank, char *text, size_t len)
{
	uint64_t status = bank->status;
	char flags[40] = "", addr[32] = "", misc[32] = "";

	describe_flags(status, flags, sizeof(flags));
	if (status & MCI_STATUS_ADDRV)
		snprintf(addr, sizeof(addr), ", address %llx", (ull)bank->addr);
	if (status & MCI_STATUS_MISCV)
		snprintf(misc, sizeof(misc), ", misc %llx", (ull)bank->misc);
	snprintf(text, len, "bank %u: status %016llx (%s%s)%s%s", bank->number, (ull)status,
		 kind_of((uint16_t)status), flags, addr, misc);
}
