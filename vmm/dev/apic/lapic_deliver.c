/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APIC: interrupts on their way. IPIs and other messages find their receivers, pins and local
 * events their entries, and vectors go into IRR. The protocol between the poster of a vector and
 * the CPU that takes it is in lapic.h, and what the latter does is in lapic_priority.c.
 */
#include "vmm/dev/apic/lapic_regs.h"

/* --- the poster's side --- */

void lapic_notify(struct lapic *l)
{
	l->group->host->notify(l->group->vm, l->id);
}

/* The trigger mode of a vector; ordered before its IRR bit by the release there. */
static void set_trigger(struct lapic *l, uint8_t vector, bool level)
{
	_Atomic uint64_t *word = &l->tmr[vector >> 6];
	uint64_t bit = BIT_ULL(vector & 63);

	if (!!(atomic_load_explicit(word, memory_order_relaxed) & bit) == level)
		return;
	if (level)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

static void post(struct lapic *l, uint8_t vector, bool level)
{
	uint64_t bit = BIT_ULL(vector & 63);

	set_trigger(l, vector, level);
	/* Release: pairs with the acquire in lapic_ack(). */
	if (atomic_fetch_or_explicit(&l->irr[vector >> 6], bit, memory_order_release) & bit)
		return;
	/* Release: pairs with the acquire in lapic_pending_slow(). */
	atomic_store_explicit(&l->recheck, 1, memory_order_release);
	lapic_notify(l);
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	uint32_t lvt = lapic_lvt(l, LVT_ERROR);
	uint8_t vector = lvt & LVT_VECTOR;

	atomic_fetch_or_explicit(&l->errors, esr_bit, memory_order_relaxed);
	/* An illegal vector here would be the next error, without end. */
	if (!(lvt & LVT_MASKED) && vector >= 16)
		post(l, vector, false);
}

void lapic_post(struct lapic *l, uint8_t vector, bool level)
{
	if (vector < 16)
		lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
	else
		post(l, vector, level);
}

static void post_extint(struct lapic *l)
{
	atomic_store_explicit(&l->extint, 1, memory_order_release);
	lapic_notify(l);
}

/* --- LVT events and the LINT pins --- */

void lapic_raise_lvt(struct lapic *l, enum lapic_lvt n)
{
	const struct dev_host *host = l->group->host;
	uint32_t lvt = lapic_lvt(l, n);

	if (lvt & LVT_MASKED)
		return;
	switch (FIELD_GET(LVT_MODE, lvt)) {
	case APIC_FIXED:
		lapic_post(l, lvt & LVT_VECTOR, false);
		break;
	case APIC_NMI:
		host->nmi(l->group->vm, l->id);
		break;
	case APIC_INIT:
		host->init(l->group->vm, l->id);
		break;
	case APIC_EXTINT:
		lapic_notify(l);
		break;
	}
}

static bool is_level_lint(uint32_t lvt)
{
	return (lvt & (LVT_LEVEL | LVT_MODE)) == LVT_LEVEL; /* fixed mode: APIC_FIXED is 0 */
}

/*
 * Level-triggered and the pin is up: post once, until EOI clears remote IRR. The pin's driver
 * and the owner may both come here: each first writes what it changed (pin, LVT) and then reads
 * the other's, both with full barriers, so at least one posts; the exchange of remote IRR lets
 * only one.
 */
void lapic_retrigger_lint(struct lapic *l, unsigned pin)
{
	_Atomic uint32_t *lvt = &l->lvt[LVT_LINT0 + pin];
	uint32_t val = atomic_load(lvt);

	if (!(atomic_load(&l->lint_level) & BIT(pin)) || !is_level_lint(val) || val & LVT_MASKED)
		return;
	if (!(atomic_fetch_or(lvt, LVT_REMOTE_IRR) & LVT_REMOTE_IRR))
		lapic_post(l, val & LVT_VECTOR, true);
}

/* With the APIC disabled the two pins are the CPU's INTR and NMI. */
static void raise_cpu_pin(struct lapic *l, unsigned pin)
{
	if (pin == 0)
		lapic_notify(l);
	else
		l->group->host->nmi(l->group->vm, l->id);
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool level)
{
	uint32_t old = atomic_load(&l->lint_level);

	if (!level) {
		atomic_fetch_and(&l->lint_level, ~BIT(pin));
		return;
	}
	if (old & BIT(pin))
		return;
	atomic_fetch_or(&l->lint_level, BIT(pin));
	if (!(atomic_load_explicit(&l->route, memory_order_acquire) & ROUTE_ENABLED))
		raise_cpu_pin(l, pin);
	else if (is_level_lint(lapic_lvt(l, LVT_LINT0 + pin)))
		lapic_retrigger_lint(l, pin);
	else
		lapic_raise_lvt(l, LVT_LINT0 + pin);
}

void lapic_group_set_lint(struct lapic_group *g, unsigned pin, bool level)
{
	for (unsigned i = 0; i < g->nr; i++)
		lapic_set_lint(g->lapic[i], pin, level);
}

/* --- messages --- */

static uint64_t route_of(const struct lapic *l)
{
	/* Acquire: pairs with the release where the owner publishes it. */
	return atomic_load_explicit(&l->route, memory_order_acquire);
}

static bool is_broadcast(const struct apic_msg *m)
{
	return m->dest == (m->wide ? UINT32_MAX : 0xff);
}

/* Logical destination, SDM 11.6.2.2 (flat and cluster model) and 11.12.10.1 (x2APIC). */
static bool matches_logical(uint64_t route, uint32_t id, uint32_t dest)
{
	uint32_t ldr = FIELD_GET(ROUTE_LDR, route);

	if (route & ROUTE_X2APIC) {
		ldr = lapic_x2apic_ldr(id);
		return ldr >> 16 == dest >> 16 && ldr & dest & 0xffff;
	}
	if (dest > 0xff)
		return false;
	if (FIELD_GET(ROUTE_DFR, route) == DFR_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
}

static bool is_receiver(const struct lapic *l, const struct apic_msg *m)
{
	uint64_t route = route_of(l);

	if (!(route & ROUTE_ENABLED))
		return false;
	if (is_broadcast(m))
		return true;
	return m->logical ? matches_logical(route, l->id, m->dest) : l->id == m->dest;
}

static bool takes_vectors(const struct lapic *l)
{
	return route_of(l) & ROUTE_SW_ENABLED;
}

/* Hand a message to one receiver. SMIs have nowhere to go, remote reads no reader. */
static bool accept(struct lapic *l, const struct apic_msg *m)
{
	const struct lapic_group *g = l->group;

	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!takes_vectors(l))
			return false;
		lapic_post(l, m->vector, m->level);
		return true;
	case APIC_NMI:
		g->host->nmi(g->vm, l->id);
		return true;
	case APIC_INIT:
		g->host->init(g->vm, l->id);
		return true;
	case APIC_STARTUP:
		g->host->startup(g->vm, l->id, m->vector);
		return true;
	case APIC_EXTINT:
		post_extint(l);
		return true;
	default:
		return false;
	}
}

/* The receivers of a message: those that is_receiver() finds, or all, with or without the sender.
 */
enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

static bool is_chosen(const struct lapic *l, const struct apic_msg *m, enum shorthand to,
		      const struct lapic *self)
{
	switch (to) {
	case TO_SELF:
		return l == self;
	case TO_ALL:
		return route_of(l) & ROUTE_ENABLED;
	case TO_OTHERS:
		return l != self && route_of(l) & ROUTE_ENABLED;
	default:
		return is_receiver(l, m);
	}
}

/*
 * Lowest-priority mode: the CPU with the lowest processor priority class; equals take turns.
 * Their PPRs may change while we look: any choice is then a right one.
 */
static struct lapic *arbitrate(struct lapic_group *g, const struct apic_msg *m, enum shorthand to,
			       const struct lapic *self)
{
	unsigned first = atomic_fetch_add_explicit(&g->arbiter, 1, memory_order_relaxed) % g->nr;
	struct lapic *best = NULL;
	uint8_t best_class = 0xff;

	for (unsigned i = 0; i < g->nr; i++) {
		struct lapic *l = g->lapic[(first + i) % g->nr];
		uint8_t class = atomic_load_explicit(&l->ppr, memory_order_relaxed) >> 4;

		if (class < best_class && takes_vectors(l) && is_chosen(l, m, to, self)) {
			best = l;
			best_class = class;
		}
	}
	return best;
}

static unsigned deliver(struct lapic_group *g, const struct apic_msg *m, enum shorthand to,
			const struct lapic *self)
{
	unsigned accepted = 0;

	if (m->mode == APIC_LOWEST) {
		struct lapic *l = arbitrate(g, m, to, self);

		return l ? accept(l, m) : 0;
	}
	for (unsigned i = 0; i < g->nr; i++) {
		if (is_chosen(g->lapic[i], m, to, self))
			accepted += accept(g->lapic[i], m);
	}
	return accepted;
}

/* One receiver named by its ID: no need to ask the others. */
static bool is_unicast(const struct apic_msg *m)
{
	return !m->logical && !is_broadcast(m);
}

unsigned lapic_deliver(struct lapic_group *g, const struct apic_msg *m)
{
	if (!is_unicast(m))
		return deliver(g, m, TO_DEST, NULL);
	if (m->dest >= g->nr || !is_receiver(g->lapic[m->dest], m))
		return 0;
	return accept(g->lapic[m->dest], m);
}

void lapic_send_ipi(struct lapic *l, uint64_t icr)
{
	bool wide = lapic_is_x2apic(l);
	enum shorthand to = FIELD_GET(ICR_SHORTHAND, icr);
	/* Trigger mode and level are of INIT only; the other IPIs are edges (SDM 11.6.1). */
	struct apic_msg msg = {
		.dest = wide ? icr >> 32 : icr >> 56,
		.logical = icr & ICR_LOGICAL,
		.wide = wide,
		.mode = FIELD_GET(LVT_MODE, icr),
		.vector = icr & LVT_VECTOR,
	};

	if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16)
		lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
	else if (msg.mode == APIC_EXTINT)
		return; /* reserved in an ICR */
	else if (msg.mode == APIC_INIT && icr & ICR_LEVEL && !(icr & ICR_ASSERT))
		return; /* INIT level de-assert: only the arbitration IDs of old buses cared */
	else if (to == TO_DEST)
		lapic_deliver(l->group, &msg);
	else
		deliver(l->group, &msg, to, l);
}
