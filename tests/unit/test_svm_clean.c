/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCB's clean bits, on CPUs that believe them (APM volume 2, 15.15). Such a CPU keeps the
 * VMCB of the last run, and takes from memory only what is not marked as clean: a field that has
 * changed under a clean bit is one that the guest runs without. Everything that the back end can do
 * to a vCPU is done between runs, in any order, while other vCPUs and CPUs come between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/svm/svm.h"

#define NR_VCPUS 2
#define NR_CPUS  2
#define ROUNDS   20000

/* ---- the machine ---- */

struct range {
	uint16_t offset, size;
};

#define FIELD(first)                                                                               \
	{                                                                                          \
		offsetof(struct vmcb, first), sizeof(((struct vmcb *)0)->first)                    \
	}
/* From one field to the end of another. */
#define FIELDS(first, last)                                                                        \
	{                                                                                          \
		offsetof(struct vmcb, first), offsetof(struct vmcb, last) +                        \
						      sizeof(((struct vmcb *)0)->last) -           \
						      offsetof(struct vmcb, first)                 \
	}

/* Which fields a bit stands for: table 15-9, "VMCB Clean Bits". */
static const struct {
	const char *name;
	struct range ranges[4];
} groups[] = {
	{"intercepts", {FIELDS(intercept_cr_read, pause_filter_count), FIELD(tsc_offset)}},
	{"permission maps", {FIELDS(iopm_base_pa, msrpm_base_pa)}},
	{"ASID", {FIELD(asid)}},
	{"TPR", {FIELD(vintr)}},
	{"nested paging", {FIELD(np_enable), FIELD(ncr3), FIELD(g_pat)}},
	{"CR0, CR3, CR4, EFER", {FIELDS(cr4, cr0), FIELD(efer)}},
	{"DR6, DR7", {FIELDS(dr7, dr6)}},
	{"GDT, IDT", {FIELD(gdtr), FIELD(idtr)}},
	{"CS, DS, SS, ES, CPL", {FIELDS(es, ds), FIELD(cpl)}},
	{"CR2", {FIELD(cr2)}},
	{"debug control and last branches", {FIELDS(debugctl, last_exception_to)}},
};

static struct svm_cpu cpus[NR_CPUS];
static struct {
	const struct vmcb *of; /* NULL: nothing is kept */
	struct vmcb vmcb;
} kept[NR_CPUS];
static unsigned current; /* CPU */

static struct vmcb pages[NR_VCPUS][VIRT_VCPU_PAGES];
static struct virt_vcpu vcpus[NR_VCPUS];
static unsigned loaded; /* vCPU */

#define V    (&vcpus[loaded])
#define VMCB (&pages[loaded][0])

hpa_t svm_iopm, svm_msrpm;
bool svm_has_nrips, svm_has_lbr, svm_has_spec_ctrl;

uint64_t spec_ctrl_enter(uint64_t guest)
{
	fail_msg("nobody has set a bit");
	return 0;
}

void spec_ctrl_leave(uint64_t host) {}

struct svm_cpu *svm_this_cpu(void)
{
	return &cpus[current];
}

void apic_offer_pending(void) {}
void svm_invlpga(gva_t gva, uint32_t asid) {}

void svm_decode_exit(struct virt_vcpu *v, const struct vmcb *vmcb, struct vm_exit *exit)
{
	exit->reason = EXIT_CPUID;
}

static uint64_t any(void)
{
	return (uint64_t)random() << 33 ^ (uint64_t)random() << 12 ^ (uint64_t)random();
}

static void check_group(unsigned g)
{
	const char *now = (const char *)VMCB, *then = (const char *)&kept[current].vmcb;

	for (unsigned i = 0; i < ARRAY_SIZE(groups[g].ranges); i++) {
		const struct range *r = &groups[g].ranges[i];

		if (memcmp(now + r->offset, then + r->offset, r->size))
			fail_msg("%s: changed, and marked as clean", groups[g].name);
	}
}

/* The guest's registers, and what of the control area an exit writes. */
static void run_guest(struct vmcb *b)
{
	b->cr2 = any();
	b->cr3 = any();
	b->cr0 ^= CR0_TS;
	b->dr6 ^= 1;
	b->vintr ^= random() & 0xf;
	b->es.limit = (uint32_t)any();
	b->gdtr.base = any();
	b->cpl = random() & 3;
	b->debugctl = random() & 3;
}

void svm_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host_vmcb)
{
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
		if (!(VMCB->clean & BIT(g)))
			continue;
		if (kept[current].of != VMCB)
			fail_msg("%s: clean on a CPU that has not run it last", groups[g].name);
		check_group(g);
	}
	assert_int_equal(VMCB->clean >> ARRAY_SIZE(groups), 0); /* unknown ones: not ours to set */
	run_guest(VMCB);
	kept[current].of = VMCB;
	kept[current].vmcb = *VMCB;
}

/* ---- all that can be done between two runs ---- */

static void write_register(void)
{
	static const enum vreg regs[] = {
		VREG_CR0, VREG_CR2,  VREG_CR3,     VREG_CR4,     VREG_EFER,     VREG_DR6, VREG_DR7,
		VREG_PAT, VREG_STAR, VREG_FS_BASE, VREG_GS_BASE, VREG_DEBUGCTL, VREG_CR0, VREG_CR4,
	};
	static const uint64_t bits = CR0_CD | CR0_PE | CR0_TS | CR4_MCE | CR4_PAE;

	svm_reg_write(V, regs[(unsigned)random() % ARRAY_SIZE(regs)], any() & (bits | 0xf00));
}

static void write_segment(void)
{
	struct segment s = {.base = any(), .selector = (uint16_t)any(), .attr = (uint16_t)any()};

	svm_seg_write(V, (enum seg)((unsigned)random() % NR_SEGS), &s);
}

static void write_table(void)
{
	struct desc_table t = {any(), (uint16_t)any()};

	if (random() & 1)
		svm_gdtr_write(V, &t);
	else
		svm_idtr_write(V, &t);
}

static void ask_for_exits(void)
{
	bool on = random() & 1;

	switch (random() % 9) {
	case 0:
		svm_exit_on_cr0_write(V, on);
		break;
	case 1:
		svm_exit_on_cr4_write(V, on);
		break;
	case 2:
		svm_exit_on_cr8_write(V, on);
		break;
	case 3:
		svm_exit_on_cr3(V, on, random() & 1);
		break;
	case 4:
		svm_exit_on_page_fault(V, on);
		break;
	case 5:
		svm_exit_on_invlpg(V, on);
		break;
	case 6:
		svm_exit_on_pause(V, on);
		break;
	case 7:
		svm_irq_window(V, on);
		break;
	default:
		svm_nmi_window(V, on);
	}
}

static void set_paging(void)
{
	struct virt_paging p;

	virt_shadow_paging(&p, HPA(any() & 0xfffff000), 3 + random() % 2, random() & 1);
	svm_set_paging(V, &p);
}

static void inject(void)
{
	struct vm_event_info ev = {.type = EVENT_EXCEPTION, .vector = 14, .has_error = true};

	svm_inject(V, &ev);
}

static void change(void)
{
	switch (random() % 12) {
	case 0:
		write_segment();
		break;
	case 1:
		write_table();
		break;
	case 2:
		ask_for_exits();
		break;
	case 3:
		set_paging();
		break;
	case 4:
		svm_set_tsc_offset(V, any());
		break;
	case 5:
		svm_cr8_write(V, random() & 0xf);
		break;
	case 6:
		svm_flush(V);
		break;
	case 7:
		svm_set_insn_state(V, any(), random() & 1);
		break;
	case 8:
		inject();
		break;
	case 9:
		if (random() % 8 == 0)
			svm_vcpu_reset(V);
		break;
	default:
		write_register();
	}
}

/* To another vCPU, or with this one to another CPU. What a CPU has kept stays, until it runs. */
static void move(void)
{
	svm_vcpu_unload(V);
	loaded = (unsigned)random() % NR_VCPUS;
	current = (unsigned)random() % NR_CPUS;
	svm_vcpu_load(V);
}

static void begin(bool nested, unsigned tags)
{
	virt_caps = (struct virt_caps){.tags = tags, .tdp = nested};
	memset(pages, 0, sizeof(pages));
	memset(vcpus, 0, sizeof(vcpus));
	memset(kept, 0, sizeof(kept));
	for (current = 0; current < NR_CPUS; current++)
		tag_pool_init(&cpus[current].tags, current);
	current = 0;
	for (loaded = 0; loaded < NR_VCPUS; loaded++) {
		svm_vcpu_init(V, pages[loaded], HPA(0x1000 * (loaded + 1)), nested);
		svm_vcpu_load(V);
		svm_vcpu_reset(V);
	}
	loaded = 0;
	svm_vcpu_load(V);
}

static void run_rounds(bool nested, unsigned tags)
{
	struct vm_exit exit;

	begin(nested, tags);
	srandom(tags);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (random() % 16 == 0)
			move();
		for (unsigned n = (unsigned)random() % 3; n; n--)
			change();
		svm_vcpu_run(V, &exit);
		assert_int_equal(exit.reason, EXIT_CPUID);
		assert_true(VMCB->asid && VMCB->asid < tags);
	}
}

static void nothing_changes_under_a_clean_bit(void **state)
{
	run_rounds(true, 16);
	run_rounds(true, 32768);
	run_rounds(false, 64);
}

/* Two runs with nothing in between: all is clean, or the bits would be of no use. */
static void what_has_not_changed_is_clean(void **state)
{
	struct vm_exit exit;

	begin(true, 16);
	svm_vcpu_run(V, &exit);
	assert_int_equal(VMCB->clean, SVM_CLEAN_ALL);
	svm_vcpu_run(V, &exit);
	svm_cr8_write(V, 5);
	assert_int_equal(VMCB->clean, SVM_CLEAN_ALL & ~SVM_CLEAN_TPR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_changes_under_a_clean_bit),
		cmocka_unit_test(what_has_not_changed_is_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
