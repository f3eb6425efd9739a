/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors: finding one in the GDT or LDT, what its bits mean for a segment register, and the
 * bits that the CPU itself writes there (SDM volume 3, 3.4.5; APM volume 2, 4.7 and 4.8).
 */
#include "vmm/emulate/internal.h"

int emul_selector_fault(struct emul_ctx *c, uint8_t vector, uint16_t selector)
{
	return emul_set_fault(c, vector, selector & ~SELECTOR_RPL);
}

/* False: there is no LDT. */
static bool find_table(struct emul_ctx *c, uint16_t selector, uint64_t *base, uint32_t *limit)
{
	if (selector & SELECTOR_TI) {
		const struct segment *ldt = emul_segment(c, SEG_LDTR);

		*base = ldt->base;
		*limit = ldt->limit;
		return (ldt->attr & SEG_ATTR_P) && !(ldt->attr & SEG_ATTR_UNUSABLE);
	} else {
		struct desc_table gdt;

		c->ops->table_read(c, EMUL_GDT, &gdt);
		*base = gdt.base;
		*limit = gdt.limit;
		return true;
	}
}

/* In long mode LDT, TSS and gate descriptors have 16 bytes. */
static bool is_wide(const struct emul_ctx *c, uint64_t low)
{
	return c->lma && !((low >> 40) & SEG_ATTR_S);
}

static int read_half(struct emul_ctx *c, uint64_t la, uint64_t *half)
{
	if (!c->lma)
		la = (uint32_t)la;
	return emul_mem_read(c, GVA(la), half, 8, EMUL_ACC_SYSTEM);
}

int emul_descriptor_find(struct emul_ctx *c, uint16_t selector, struct descriptor *d, bool *found)
{
	unsigned offset = selector & ~(SELECTOR_RPL | SELECTOR_TI);
	uint64_t base;
	uint32_t limit;
	int err;

	*found = find_table(c, selector, &base, &limit) && offset + 7 <= limit;
	if (!*found)
		return EMUL_OK;
	d->high = 0;
	d->at = GVA(c->lma ? base + offset : (uint32_t)(base + offset));
	err = read_half(c, base + offset, &d->low);
	if (err || !is_wide(c, d->low))
		return err;
	*found = offset + 15 <= limit;
	return *found ? read_half(c, base + offset + 8, &d->high) : EMUL_OK;
}

int emul_descriptor_read(struct emul_ctx *c, uint16_t selector, struct descriptor *d)
{
	bool found;
	int err = emul_descriptor_find(c, selector, d, &found);

	if (err)
		return err;
	return found ? EMUL_OK : emul_selector_fault(c, X86_TRAP_GP, selector);
}

int emul_descriptor_set_type(struct emul_ctx *c, const struct descriptor *d, uint8_t bits)
{
	uint8_t old = (uint8_t)(d->low >> 40), val = old | bits;
	uint64_t at = d->at.v + 5;

	if (old == val)
		return EMUL_OK;
	if (!c->lma)
		at = (uint32_t)at;
	return c->ops->cmpxchg(c, GVA(at), &old, &val, 1, EMUL_ACC_WRITE | EMUL_ACC_SYSTEM);
}

struct segment emul_descriptor_segment(const struct descriptor *d, uint16_t selector)
{
	uint64_t low = d->low;
	uint32_t limit = (low & 0xffff) | ((low >> 32) & 0xf0000);
	struct segment s = {
		.selector = selector,
		.attr = ((low >> 40) & 0xff) | ((low >> 44) & 0xf00),
		.base = ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000) | d->high << 32,
	};

	s.limit = s.attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
	return s;
}
