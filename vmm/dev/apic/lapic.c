/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APIC: its life (creation, reset, modes) and its registers, which xAPIC shows on a page of
 * memory and x2APIC as MSRs. Both go through the same two functions; what differs is caught
 * before: widths and layouts for xAPIC, #GP for x2APIC.
 */
#include "vmm/dev/apic/lapic_regs.h"

void lapic_group_init(struct lapic_group *g, const struct dev_host *host, void *vm,
		      void (*eoi)(void *ctx, uint8_t vector), void *eoi_ctx, unsigned phys_bits)
{
	*g = (struct lapic_group){
		.host = host,
		.vm = vm,
		.eoi = eoi,
		.eoi_ctx = eoi_ctx,
		.phys_bits = phys_bits,
	};
}

/* --- modes and reset --- */

/* Tell the senders. Release: pairs with the acquire in route_of(). */
static void publish_route(struct lapic *l)
{
	uint64_t route = FIELD_PREP(ROUTE_LDR, l->ldr) | FIELD_PREP(ROUTE_DFR, l->dfr);

	if (l->base & LAPIC_BASE_ENABLE)
		route |= ROUTE_ENABLED;
	if (l->base & LAPIC_BASE_X2APIC)
		route |= ROUTE_X2APIC;
	if (l->svr & SVR_ENABLE)
		route |= ROUTE_SW_ENABLED;
	atomic_store_explicit(&l->route, route, memory_order_release);
}

/* SDM 11.4.7.1. Others may post meanwhile: what they do is either lost or stays, both right. */
static void reset_registers(struct lapic *l)
{
	lapic_timer_reset(l);
	for (unsigned i = 0; i < NR_LVTS; i++)
		atomic_store(&l->lvt[i], LVT_MASKED);
	for (unsigned i = 0; i < 4; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->tmr[i], 0);
		l->isr[i] = 0;
	}
	atomic_store(&l->extint, 0);
	atomic_store(&l->errors, 0);
	l->icr = 0;
	l->ldr = 0;
	l->dfr = DFR_FLAT;
	l->svr = 0xff;
	l->esr = 0;
	l->tpr = 0;
	lapic_update_ppr(l);
	publish_route(l);
	/* A vector that was posted into the midst of this is found. */
	atomic_exchange(&l->recheck, 1);
}

void lapic_reset(struct lapic *l)
{
	l->base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE | (l->id == 0 ? LAPIC_BASE_BSP : 0);
	reset_registers(l);
}

void lapic_reset_init(struct lapic *l)
{
	reset_registers(l);
}

void lapic_init(struct lapic *l, struct lapic_group *g, uint32_t id, struct timer_queue *queue)
{
	*l = (struct lapic){.group = g, .id = id};
	lapic_timer_init(l, queue);
	lapic_reset(l);
	g->lapic[id] = l;
	g->nr = id + 1;
}

void lapic_set_virtual_wire(struct lapic *l)
{
	l->svr |= SVR_ENABLE;
	atomic_store(&l->lvt[LVT_LINT0], FIELD_PREP(LVT_MODE, APIC_EXTINT));
	atomic_store(&l->lvt[LVT_LINT1], FIELD_PREP(LVT_MODE, APIC_NMI));
	publish_route(l);
}

/*
 * Mode changes (SDM 11.12.5): x2APIC is entered from xAPIC only, and left for disabled only.
 * EXTD without EN does not exist.
 */
static bool may_switch(uint64_t old, uint64_t next)
{
	const uint64_t both = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;

	switch (next & both) {
	case 0:
		return true;
	case LAPIC_BASE_ENABLE:
		return !(old & LAPIC_BASE_X2APIC);
	case LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE:
		return old & LAPIC_BASE_ENABLE;
	default:
		return false;
	}
}

int lapic_set_base(struct lapic *l, uint64_t val)
{
	uint64_t flags = LAPIC_BASE_BSP | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
	uint64_t address = GENMASK_ULL(l->group->phys_bits - 1, 12);
	uint64_t changed = val ^ l->base;

	if (val & ~(flags | address) || !may_switch(l->base, val))
		return -1;
	l->base = val;
	if (changed & LAPIC_BASE_ENABLE)
		reset_registers(l);
	else
		publish_route(l);
	lapic_notify(l); /* ExtINT may have become open */
	return 0;
}

/* --- reading --- */

/* 32 vectors of a 256-bit register whose 64-bit words are atomic. */
static uint32_t read_bits(const _Atomic uint64_t *words, unsigned n)
{
	return atomic_load_explicit(&words[n / 2], memory_order_relaxed) >> (n % 2 * 32);
}

/* Arbitration priority (SDM 11.6.2.4): what a lowest-priority arbitration would compare. */
static uint8_t arbitration_priority(const struct lapic *l)
{
	uint64_t irr[4];
	unsigned irrv, isrv, tpr = l->tpr >> 4;

	for (unsigned i = 0; i < 4; i++)
		irr[i] = atomic_load_explicit(&l->irr[i], memory_order_relaxed);
	irrv = max(lapic_highest(irr), 0) >> 4;
	isrv = max(lapic_highest(l->isr), 0) >> 4;
	if (tpr >= irrv && tpr > isrv)
		return l->tpr;
	return max(tpr & isrv, irrv) << 4;
}

/* False: there is no such register in this mode, or it cannot be read. */
static bool read_reg(struct lapic *l, unsigned reg, uint32_t *val)
{
	bool x2apic = lapic_is_x2apic(l);

	switch (reg) {
	case REG_ID:
		*val = x2apic ? l->id : l->id << 24;
		return true;
	case REG_VERSION:
		*val = LAPIC_VERSION;
		return true;
	case REG_TPR:
		*val = l->tpr;
		return true;
	case REG_APR:
		*val = arbitration_priority(l);
		return !x2apic;
	case REG_PPR:
		*val = atomic_load_explicit(&l->ppr, memory_order_relaxed);
		return true;
	case REG_EOI: /* write-only; older parts read 0 */
	case REG_RRD:
		*val = 0;
		return !x2apic;
	case REG_LDR:
		*val = x2apic ? lapic_x2apic_ldr(l->id) : l->ldr << 24;
		return true;
	case REG_DFR:
		*val = l->dfr << 28 | DFR_RESERVED;
		return !x2apic;
	case REG_SVR:
		*val = l->svr;
		return true;
	case REG_ISR ... REG_ISR + 7:
		*val = l->isr[(reg - REG_ISR) / 2] >> (reg % 2 * 32);
		return true;
	case REG_TMR ... REG_TMR + 7:
		*val = read_bits(l->tmr, reg - REG_TMR);
		return true;
	case REG_IRR ... REG_IRR + 7:
		*val = read_bits(l->irr, reg - REG_IRR);
		return true;
	case REG_ESR:
		*val = l->esr;
		return true;
	case REG_ICR:
		*val = l->icr;
		return true;
	case REG_ICR_HIGH:
		*val = l->icr >> 32;
		return !x2apic;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		*val = lapic_lvt(l, reg - REG_LVT_TIMER);
		return true;
	case REG_INITIAL_COUNT:
		*val = l->initial_count;
		return true;
	case REG_CURRENT_COUNT:
		*val = lapic_timer_read_count(l);
		return true;
	case REG_DIVIDE:
		*val = l->divide_config;
		return true;
	default:
		return false;
	}
}

/* --- writing --- */

static const uint32_t lvt_writable[NR_LVTS] = {
	[LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
	[LVT_THERMAL] = LVT_VECTOR | LVT_MODE | LVT_MASKED,
	[LVT_PERF] = LVT_VECTOR | LVT_MODE | LVT_MASKED,
	[LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
	[LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
	[LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

/* A LINT entry keeps its remote IRR, which the pin may set at any time; an edge has none. */
static void write_lint(struct lapic *l, unsigned pin, uint32_t val)
{
	_Atomic uint32_t *lvt = &l->lvt[LVT_LINT0 + pin];
	uint32_t keep = (val & LVT_LEVEL) ? LVT_REMOTE_IRR : 0;
	uint32_t old = atomic_load(lvt);

	while (!atomic_compare_exchange_weak(lvt, &old, val | (old & keep)))
		;
	lapic_retrigger_lint(l, pin);
	lapic_notify(l); /* ExtINT may have become open */
}

static void write_lvt(struct lapic *l, enum lapic_lvt n, uint32_t val)
{
	val &= lvt_writable[n];
	if (!(l->svr & SVR_ENABLE))
		val |= LVT_MASKED;
	if (n == LVT_TIMER)
		lapic_timer_write_lvt(l, val);
	else if (n == LVT_LINT0 || n == LVT_LINT1)
		write_lint(l, n - LVT_LINT0, val);
	else
		atomic_store_explicit(&l->lvt[n], val, memory_order_relaxed);
}

/* Disabling by software masks all LVT entries; they stay masked until they are written again. */
static void write_svr(struct lapic *l, uint32_t val)
{
	uint32_t old = l->svr;

	l->svr = val & SVR_WRITABLE;
	if (old & SVR_ENABLE && !(val & SVR_ENABLE)) {
		for (unsigned i = 0; i < NR_LVTS; i++)
			write_lvt(l, i, lapic_lvt(l, i));
	}
	publish_route(l);
}

static void write_tpr(struct lapic *l, uint8_t tpr)
{
	if (tpr == l->tpr)
		return;
	l->tpr = tpr;
	lapic_update_ppr(l);
}

void lapic_set_cr8(struct lapic *l, uint64_t cr8)
{
	write_tpr(l, cr8 << 4);
}

/* False: no such register in this mode, or read-only. Reserved bits are the caller's matter. */
static bool write_reg(struct lapic *l, unsigned reg, uint32_t val)
{
	bool x2apic = lapic_is_x2apic(l);

	switch (reg) {
	case REG_EOI:
		lapic_eoi(l);
		return true;
	case REG_TPR:
		write_tpr(l, val);
		lapic_notify(l); /* CR8 is another view of it */
		return true;
	case REG_ICR: /* xAPIC: the upper half was written before */
		l->icr = (l->icr & ~0xffffffffull) | (val & ICR_WRITABLE);
		lapic_send_ipi(l, l->icr);
		return true;
	case REG_ICR_HIGH:
		if (x2apic)
			return false;
		l->icr = (l->icr & 0xffffffff) | (uint64_t)(val & 0xff000000) << 32;
		return true;
	case REG_INITIAL_COUNT:
		lapic_timer_write_count(l, val);
		return true;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		write_lvt(l, reg - REG_LVT_TIMER, val);
		return true;
	case REG_DIVIDE:
		lapic_timer_write_divide(l, val);
		return true;
	case REG_SVR:
		write_svr(l, val);
		return true;
	case REG_ESR:
		l->esr = atomic_exchange_explicit(&l->errors, 0, memory_order_relaxed);
		return true;
	case REG_LDR:
		if (x2apic)
			return false;
		l->ldr = val >> 24;
		publish_route(l);
		return true;
	case REG_DFR:
		if (x2apic)
			return false;
		l->dfr = val >> 28;
		publish_route(l);
		return true;
	case REG_SELF_IPI:
		if (x2apic)
			lapic_post(l, val, false);
		return x2apic;
	default:
		return false;
	}
}

/* --- xAPIC: the page --- */

/* A register is the first 4 bytes of 16; narrower reads of it work, the rest reads 0. */
uint64_t lapic_mmio_read(struct lapic *l, uint64_t off, unsigned size)
{
	uint32_t val = 0;

	if ((off & 0xf) >= 4)
		return 0;
	if (off >= 0x400 || !read_reg(l, off >> 4, &val)) {
		lapic_error(l, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	val >>= 8 * (off & 3);
	return size >= 4 ? val : val & ((1u << (8 * size)) - 1);
}

/* SDM 11.4.1: aligned 32-bit writes; nothing is promised for others, they are dropped here. */
void lapic_mmio_write(struct lapic *l, uint64_t off, unsigned size, uint64_t val)
{
	uint32_t ignored;

	if (off & 0xf || size != 4)
		return;
	if (off >= 0x400) {
		lapic_error(l, ESR_ILLEGAL_REGISTER);
		return;
	}
	/* A read-only register just keeps its value. */
	if (!write_reg(l, off >> 4, val) && !read_reg(l, off >> 4, &ignored))
		lapic_error(l, ESR_ILLEGAL_REGISTER);
}

/* --- x2APIC: the MSRs --- */

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
	uint32_t low;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		*val = lapic_timer_read_deadline(l);
		return 0;
	}
	if (!lapic_is_x2apic(l))
		return -1;
	if (msr == MSR_X2APIC_BASE + REG_ICR) {
		*val = l->icr;
		return 0;
	}
	if (!read_reg(l, msr - MSR_X2APIC_BASE, &low))
		return -1;
	*val = low;
	return 0;
}

/* The bits of an MSR that may be set in a write: all others are #GP. */
static uint32_t allowed_bits(unsigned reg)
{
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xff;
	case REG_SVR:
		return SVR_WRITABLE;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		return lvt_writable[reg - REG_LVT_TIMER] | LVT_STATUS | LVT_REMOTE_IRR;
	case REG_INITIAL_COUNT:
		return UINT32_MAX;
	case REG_DIVIDE:
		return 0xb;
	default: /* EOI and ESR: only 0 */
		return 0;
	}
}

static int write_icr_msr(struct lapic *l, uint64_t val)
{
	if ((uint32_t)val & ~(ICR_WRITABLE | ICR_STATUS))
		return -1;
	l->icr = val & ~(uint64_t)ICR_STATUS;
	lapic_send_ipi(l, l->icr);
	return 0;
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val)
{
	unsigned reg = msr - MSR_X2APIC_BASE;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		lapic_timer_write_deadline(l, val);
		return 0;
	}
	if (!lapic_is_x2apic(l))
		return -1;
	if (reg == REG_ICR)
		return write_icr_msr(l, val);
	if (val & ~(uint64_t)allowed_bits(reg))
		return -1;
	return write_reg(l, reg, val) ? 0 : -1;
}
