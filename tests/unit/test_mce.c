/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine checks: how a CPU is made to report them, which of them end the machine, and what is said
 * (SDM volume 3, 15.3, 15.6, 15.8 and 15.10.4; APM volume 2, 9.3).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/irq.h"
#include "arch/x86/layout.h"
#include "arch/x86/mce.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/panic.h"
#include "arch/x86/regs.h"
#include "arch/x86/trap.h"
#include "lib/log.h"
#include "tests/unit/support/mce_cpu.h"

#define NR_CPUS  2
#define NR_BANKS 10

#define VAL         MCI_STATUS_VAL
#define UC          (MCI_STATUS_VAL | MCI_STATUS_EN | MCI_STATUS_UC)
#define RECOVERABLE (MCG_CAP_CTL_P | MCG_CAP_SER_P | NR_BANKS)

/* ---- the machine ---- */

struct bank {
	uint64_t ctl, status, addr, misc;
};

static struct machine {
	struct {
		uint64_t cr4, mcg_cap, mcg_status, mcg_ctl;
		struct bank bank[NR_BANKS];
	} cpu[NR_CPUS];
	unsigned current;
	enum cpu_vendor vendor;
	uint32_t signature;
	bool has_mce, has_mca, has_addr_and_misc;
	unsigned announced; /* interrupts that a CPU has sent itself */
	irq_handler_t handler;
	const char *why; /* of the report; NULL: none */
	bool in_guest;
	const struct trap_frame *frame; /* what the #MC interrupts; NULL: a guest */
} m;

static jmp_buf end_of_machine;

struct cpuid cpuid(uint32_t leaf)
{
	assert_int_equal(leaf, 1);
	return (struct cpuid){.eax = m.signature};
}

uint64_t read_cr4(void)
{
	return m.cpu[m.current].cr4;
}

void write_cr4(uint64_t val)
{
	m.cpu[m.current].cr4 = val;
}

struct cpu *this_cpu(void)
{
	static struct cpu cpus[NR_CPUS] = {{.apic_id = 0, .stack_top = 0x5000},
					   {.apic_id = 6, .stack_top = 0x5000}};

	return &cpus[m.current];
}

unsigned cpu_id(void)
{
	return m.current;
}

unsigned cpu_count(void)
{
	return NR_CPUS;
}

enum cpu_vendor cpu_vendor(void)
{
	return m.vendor;
}

bool cpu_reports(enum cpuid_bit bit)
{
	return bit == CPUID_MCE ? m.has_mce : bit == CPUID_MCA && m.has_mca;
}

void apic_send_self(unsigned vector)
{
	assert_int_equal(vector, IRQ_VECTOR_MCE);
	m.announced++;
}

void irq_register(unsigned vector, irq_handler_t handler)
{
	assert_int_equal(vector, IRQ_VECTOR_MCE);
	m.handler = handler;
}

__noreturn void panic_machine_check(const struct trap_frame *frame, const char *why,
				    void (*print)(void))
{
	m.why = why;
	m.in_guest = !frame;
	print();
	longjmp(end_of_machine, 1);
}

/* NULL: #GP. */
static uint64_t *find_msr(uint32_t msr)
{
	struct bank *b = &m.cpu[m.current].bank[(msr - MSR_MC0_CTL) / 4 % NR_BANKS];

	assert_true(m.has_mca);
	if (msr == MSR_MCG_CAP)
		return &m.cpu[m.current].mcg_cap;
	if (msr == MSR_MCG_STATUS)
		return &m.cpu[m.current].mcg_status;
	if (msr == MSR_MCG_CTL)
		return m.cpu[m.current].mcg_cap & MCG_CAP_CTL_P ? &m.cpu[m.current].mcg_ctl : NULL;
	if (msr - MSR_MC0_CTL >= 4 * NR_BANKS)
		return NULL;
	if (msr % 4 >= 2 && !m.has_addr_and_misc)
		return NULL;
	return &b->ctl + msr % 4;
}

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
	const uint64_t *place = find_msr(msr);

	*val = place ? *place : 0;
	return place ? 0 : -EFAULT;
}

/* Status registers take nothing but 0. */
int wrmsr_safe(uint32_t msr, uint64_t val)
{
	uint64_t *place = find_msr(msr);

	if (!place || (val && (msr == MSR_MCG_STATUS || (msr >= MSR_MC0_CTL && msr % 4 == 1))))
		return -EFAULT;
	*place = val;
	return 0;
}

/* ---- what it says ---- */

static char text[4096];

static void keep(struct log_sink *sink, const char *line, size_t len)
{
	(void)sink;
	strncat(text, line, min(len, sizeof(text) - strlen(text) - 1));
}

static struct log_sink sink = {.write = keep};

static bool says(const char *words)
{
	return strstr(text, words);
}

static void begin(enum cpu_vendor vendor, uint64_t mcg_cap)
{
	m = (struct machine){
		.vendor = vendor,
		.signature = vendor == VENDOR_INTEL ? 0x806c1 : 0x800f12,
		.has_mce = true,
		.has_mca = true,
		.has_addr_and_misc = true,
	};
	for (unsigned i = 0; i < NR_CPUS; i++)
		m.cpu[i].mcg_cap = mcg_cap;
	mce_init();
	text[0] = '\0';
}

static int setup(void **state)
{
	(void)state;
	begin(VENDOR_INTEL, RECOVERABLE);
	return 0;
}

static void set_error(unsigned bank, uint64_t status, uint64_t addr, uint64_t misc)
{
	struct bank *b = &m.cpu[m.current].bank[bank];

	b->status = status;
	b->addr = addr;
	b->misc = misc;
}

/* A #MC on the current CPU: true if it goes on. */
static bool survives(uint64_t mcg_status)
{
	m.why = NULL;
	m.cpu[m.current].mcg_status = mcg_status | MCG_STATUS_MCIP;
	if (setjmp(end_of_machine))
		return false;
	mce_handle(m.frame);
	assert_int_equal(m.cpu[m.current].mcg_status, 0);
	return true;
}

static bool survives_bank(uint64_t status, uint64_t mcg_status)
{
	bool goes_on;

	set_error(4, status, 0x1000, 0);
	goes_on = survives(mcg_status);
	assert_int_equal(m.cpu[m.current].bank[4].status, goes_on ? 0 : status);
	set_error(4, 0, 0, 0);
	return goes_on;
}

/* ---- switching on ---- */

static void all_banks_are_switched_on(void **state)
{
	for (m.current = 0; m.current < NR_CPUS; m.current++) {
		mce_init_cpu();
		assert_true(read_cr4() & CR4_MCE);
		assert_int_equal(m.cpu[m.current].mcg_ctl, ~0ull);
		for (unsigned i = 0; i < NR_BANKS; i++)
			assert_int_equal(m.cpu[m.current].bank[i].ctl, ~0ull);
	}
	assert_string_equal(text, "");
}

static void check_bank_0(uint32_t signature, bool is_ours)
{
	m.signature = signature;
	m.cpu[0].bank[0].ctl = 0x5a;
	mce_init_cpu();
	assert_int_equal(m.cpu[0].bank[0].ctl, is_ours ? ~0ull : 0x5a);
	assert_int_equal(m.cpu[0].bank[1].ctl, ~0ull);
}

/* SDM volume 3, 15.8: of family 6 before model 1Ah it is the firmware's. */
static void bank_0_is_the_firmwares_on_old_cpus(void **state)
{
	check_bank_0(0x10676, false); /* Penryn: family 6, model 17h */
	check_bank_0(0x106a5, true);  /* Nehalem: model 1Ah */
	check_bank_0(0x806c1, true);
	check_bank_0(0x800f12, true); /* Zen: family 17h, model 1 */
}

static void errors_from_before_are_told_and_cleared(void **state)
{
	m.current = 1;
	set_error(3, UC | MCI_STATUS_PCC | MCI_STATUS_ADDRV | 0x135, 0xabc000, 0);
	mce_init_cpu();
	assert_true(says("mce: CPU with APIC id 6, from before the start: bank 3: "));
	assert_true(says("address abc000"));
	assert_int_equal(m.cpu[1].bank[3].status, 0);
}

static void cpus_without_the_architecture_are_left_alone(void **state)
{
	m.has_mca = false;
	mce_init_cpu();
	assert_true(read_cr4() & CR4_MCE);
	m.cpu[0].cr4 = 0;
	m.has_mce = false;
	mce_init_cpu();
	assert_int_equal(read_cr4(), 0);
	/* No MCG_CTL. */
	begin(VENDOR_AMD, NR_BANKS);
	mce_init_cpu();
	assert_int_equal(m.cpu[0].bank[NR_BANKS - 1].ctl, ~0ull);
}

/* ---- the verdict ---- */

static void harmless_errors_are_survived(void **state)
{
	uint64_t s = MCI_STATUS_S;

	assert_true(survives_bank(VAL, MCG_STATUS_RIPV)); /* corrected */
	assert_true(survives_bank(VAL | MCI_STATUS_OVER, MCG_STATUS_RIPV | MCG_STATUS_EIPV));
	assert_true(survives_bank(UC, MCG_STATUS_RIPV));     /* no action (UCNA) */
	assert_true(survives_bank(UC | s, MCG_STATUS_RIPV)); /* action optional (SRAO) */
	assert_int_equal(m.announced, 4);
	begin(VENDOR_AMD, NR_BANKS);
	assert_true(survives_bank(VAL | BIT_ULL(44), MCG_STATUS_RIPV)); /* deferred */
}

/* The way back would let NMIs in, whose stack, like that of machine checks, is in use. */
static void no_handler_is_interrupted_and_gone_on_with(void **state)
{
	struct trap_frame frame = {.rsp = 0x5000 - 8}; /* the CPU's one stack */

	m.frame = &frame;
	assert_true(survives_bank(VAL, MCG_STATUS_RIPV));
	frame.rsp = 0x5000 + STACK_GUARD + IST_STACK_SIZE - 40; /* NMIs' */
	assert_false(survives_bank(VAL, MCG_STATUS_RIPV));
	frame.rsp = 0x5000 + 3 * (STACK_GUARD + IST_STACK_SIZE) - 40; /* machine checks' */
	assert_false(survives_bank(VAL, MCG_STATUS_RIPV));
	m.frame = NULL;
}

static void harm_ends_the_machine(void **state)
{
	uint64_t s = MCI_STATUS_S, ar = MCI_STATUS_AR;

	assert_false(survives_bank(VAL, 0)); /* no way back */
	assert_non_null(strstr(m.why, "cannot go on"));
	assert_false(survives_bank(UC | MCI_STATUS_PCC, MCG_STATUS_RIPV));
	assert_non_null(strstr(m.why, "context is corrupt"));
	assert_false(survives_bank(UC | s | ar, MCG_STATUS_RIPV | MCG_STATUS_EIPV)); /* SRAR */
	assert_false(survives_bank(UC | ar, MCG_STATUS_RIPV));
	assert_false(survives_bank(UC | s | MCI_STATUS_OVER, MCG_STATUS_RIPV));
	begin(VENDOR_INTEL, MCG_CAP_CTL_P | NR_BANKS); /* S means nothing */
	assert_false(survives_bank(UC | s, MCG_STATUS_RIPV));
	begin(VENDOR_AMD, RECOVERABLE); /* nor do these bits of the cap, and of the status */
	assert_false(survives_bank(UC, MCG_STATUS_RIPV));
	assert_false(survives_bank(UC | s, MCG_STATUS_RIPV));
	assert_int_equal(m.announced, 0);
}

/* One bank with harm among others, wherever it is. */
static void the_worst_bank_decides(void **state)
{
	for (unsigned bad = 0; bad < NR_BANKS; bad++) {
		for (unsigned i = 0; i < NR_BANKS; i++)
			set_error(i, VAL | i, 0, 0);
		set_error(bad, UC | MCI_STATUS_PCC, 0, 0);
		text[0] = '\0';
		assert_false(survives(MCG_STATUS_RIPV));
		assert_true(says("PCC"));
		assert_true(says("2 further banks"));
	}
}

/* Intel's CPUs all get it (15.10.4.1); AMD's do not. */
static void a_cpu_without_an_error_looks_on(void **state)
{
	assert_true(survives(MCG_STATUS_RIPV));
	assert_int_equal(m.announced, 0);
	assert_false(survives(MCG_STATUS_RIPV | MCG_STATUS_EIPV));
	assert_false(survives(MCG_STATUS_RIPV | MCG_STATUS_LMCES));
	assert_false(survives(0));
	begin(VENDOR_AMD, NR_BANKS);
	assert_false(survives(MCG_STATUS_RIPV));
	assert_non_null(strstr(m.why, "no bank says why"));
}

/* ---- the report ---- */

static void the_report_has_every_cpus_banks(void **state)
{
	m.current = 1;
	set_error(9, VAL | MCI_STATUS_EN | MCI_STATUS_ADDRV | MCI_STATUS_MISCV | 0x9f, 0x12345000,
		  0x8c);
	assert_true(survives(MCG_STATUS_RIPV));
	m.current = 0;
	set_error(0, UC | MCI_STATUS_PCC | 0x800, 0xdead, 0xbeef); /* not valid, these two */
	assert_false(survives(0));
	assert_true(m.in_guest);
	assert_true(says("mce: CPU 0, MCG_STATUS 4, MCG_CAP 100010a\n"));
	assert_true(says("mce: CPU 0, bank 0: status b200000000000800 (bus or interconnect UC EN "
			 "PCC)\n"));
	assert_true(says("mce: CPU 1, bank 9: status 9c0000000000009f (memory controller EN), "
			 "address 12345000, misc 8c\n"));
	assert_false(says("dead") || says("beef"));
}

static void an_address_that_cannot_be_read_is_0(void **state)
{
	m.has_addr_and_misc = false;
	set_error(1, UC | MCI_STATUS_ADDRV, 0xdead, 0);
	assert_false(survives(0));
	assert_true(says("address 0\n"));
}

static void errors_without_harm_are_told_by_an_interrupt(void **state)
{
	set_error(2, VAL | 0x11, 0, 0);
	assert_true(survives(MCG_STATUS_RIPV));
	assert_int_equal(m.announced, 1);
	assert_string_equal(text, ""); /* the log may be locked by what was interrupted */
	m.handler(IRQ_VECTOR_MCE);
	assert_true(says("mce: CPU 0, no harm was done: bank 2: status 8000000000000011 (TLB)\n"));
}

static void codes_have_names(void **state)
{
	static const struct {
		uint16_t code;
		const char *name;
	} table[] = {
		{0x0000, "no code"},
		{0x0001, "unclassified"},
		{0x0005, "internal parity"},
		{0x0400, "internal timer"},
		{0x0401, "internal"},
		{0x0014, "TLB"},
		{0x1010, "TLB"}, /* bit 12: filtered */
		{0x000e, "cache hierarchy"},
		{0x0135, "cache or memory"},
		{0x0090, "memory controller"},
		{0x0e0b, "bus or interconnect"},
		{0x2000, "unknown kind"},
	};
	char line[160];

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct mce_bank bank = {.status = table[i].code};
		char words[64];

		snprintf(words, sizeof(words), "(%s)", table[i].name);
		mce_describe_bank(&bank, line, sizeof(line));
		assert_non_null(strstr(line, words));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_banks_are_switched_on, setup),
		cmocka_unit_test_setup(bank_0_is_the_firmwares_on_old_cpus, setup),
		cmocka_unit_test_setup(errors_from_before_are_told_and_cleared, setup),
		cmocka_unit_test_setup(cpus_without_the_architecture_are_left_alone, setup),
		cmocka_unit_test_setup(harmless_errors_are_survived, setup),
		cmocka_unit_test_setup(no_handler_is_interrupted_and_gone_on_with, setup),
		cmocka_unit_test_setup(harm_ends_the_machine, setup),
		cmocka_unit_test_setup(the_worst_bank_decides, setup),
		cmocka_unit_test_setup(a_cpu_without_an_error_looks_on, setup),
		cmocka_unit_test_setup(the_report_has_every_cpus_banks, setup),
		cmocka_unit_test_setup(an_address_that_cannot_be_read_is_0, setup),
		cmocka_unit_test_setup(errors_without_harm_are_told_by_an_interrupt, setup),
		cmocka_unit_test_setup(codes_have_names, setup),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
