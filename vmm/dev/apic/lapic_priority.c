/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner's side of a local APIC: which interrupt is next, the processor priority, acknowledge
 * and end of interrupt (SDM volume 3, 11.8.3 to 11.8.5). The protocol with the posters is in
 * lapic.h.
 */
#include "vmm/dev/apic/lapic_regs.h"

int lapic_highest(const uint64_t reg[4])
{
	for (int i = 3; i >= 0; i--) {
		if (reg[i])
			return i * 64 + 63 - __builtin_clzll(reg[i]);
	}
	return -1;
}

static int highest_irr(const struct lapic *l)
{
	for (int i = 3; i >= 0; i--) {
		/* Relaxed: ordered by the exchange of recheck before. */
		uint64_t word = atomic_load_explicit(&l->irr[i], memory_order_relaxed);

		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return -1;
}

static uint8_t ppr_of(const struct lapic *l)
{
	return atomic_load_explicit(&l->ppr, memory_order_relaxed);
}

int lapic_pending_slow(struct lapic *l)
{
	int vector;

	/* Acquire: pairs with the release in post(). */
	atomic_exchange_explicit(&l->recheck, 0, memory_order_acquire);
	vector = highest_irr(l);
	if (vector >> 4 <= ppr_of(l) >> 4 || !(l->base & LAPIC_BASE_ENABLE))
		return -1;
	/* It stays deliverable until it is acknowledged. An exchange: see the protocol. */
	atomic_exchange_explicit(&l->recheck, 1, memory_order_relaxed);
	return vector;
}

void lapic_update_ppr(struct lapic *l)
{
	int isrv = lapic_highest(l->isr);
	uint8_t old = ppr_of(l), ppr = l->tpr;

	if (isrv >> 4 > l->tpr >> 4)
		ppr = isrv & 0xf0;
	atomic_store_explicit(&l->ppr, ppr, memory_order_relaxed);
	if (ppr >= old)
		return;
	/* A poster whose IRR bit comes after this look notifies by itself. */
	atomic_exchange_explicit(&l->recheck, 1, memory_order_acq_rel);
	if (highest_irr(l) >> 4 > ppr >> 4)
		lapic_notify(l);
}

void lapic_ack(struct lapic *l, uint8_t vector)
{
	uint64_t bit = BIT_ULL(vector & 63);

	/* Acquire: pairs with the release in post(); EOI will look at TMR. */
	atomic_fetch_and_explicit(&l->irr[vector >> 6], ~bit, memory_order_acquire);
	l->isr[vector >> 6] |= bit;
	lapic_update_ppr(l);
}

/* A level-triggered LINT pin's vector ended: it may ask again. */
static void eoi_lint(struct lapic *l, uint8_t vector)
{
	for (unsigned pin = 0; pin < 2; pin++) {
		_Atomic uint32_t *lvt = &l->lvt[LVT_LINT0 + pin];
		uint32_t val = atomic_load(lvt);

		if (!(val & LVT_REMOTE_IRR) || (val & LVT_VECTOR) != vector)
			continue;
		atomic_fetch_and(lvt, ~LVT_REMOTE_IRR);
		lapic_retrigger_lint(l, pin);
	}
}

void lapic_eoi(struct lapic *l)
{
	int vector = lapic_highest(l->isr);
	uint64_t bit = BIT_ULL(vector & 63);

	if (vector < 0)
		return;
	l->isr[vector >> 6] &= ~bit;
	lapic_update_ppr(l);
	if (!(atomic_load_explicit(&l->tmr[vector >> 6], memory_order_relaxed) & bit))
		return;
	eoi_lint(l, vector);
	if (!(l->svr & SVR_EOI_SUPPRESS))
		l->group->eoi(l->group->eoi_ctx, vector);
}

bool lapic_extint_open(struct lapic *l)
{
	if (!(l->base & LAPIC_BASE_ENABLE))
		return true;
	if ((lapic_lvt(l, LVT_LINT0) & (LVT_MASKED | LVT_MODE)) ==
	    FIELD_PREP(LVT_MODE, APIC_EXTINT))
		return true;
	return atomic_load_explicit(&l->extint, memory_order_acquire);
}

void lapic_extint_acked(struct lapic *l)
{
	if (atomic_load_explicit(&l->extint, memory_order_relaxed))
		atomic_store_explicit(&l->extint, 0, memory_order_relaxed);
}
