#include "ept/tdp.h"
#include "mm/frames.h"
#include <errno.h>
int tdp_init(struct tdp *t, struct guest_memory *m, struct vm *vm, bool large)
{
	(void)vm;
	t->mem = m; t->large = large; t->root = page_alloc();
	return t->root ? 0 : -ENOMEM;
}
void tdp_destroy(struct tdp *t) { (void)t; }
static enum ret_pf map(struct tdp *t, gpa_t gpa, uint32_t error)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	const struct memslot *s = slots_find(t->mem, gfn);
	unsigned level, l;
	uint64_t *tab = t->root;
	if (!s || ((error & 2) && (s->flags & SLOT_READONLY)))
		return RET_PF_EMULATE;
	level = t->large ? slot_max_level(s, gfn) : 1;
	if (level > 2) level = 2;
	for (l = 4; l > level; l--) {
		uint64_t *e = &tab[(gpa.v >> (12 + 9 * (l - 1))) & 511];
		if (!*e) { void *p = page_alloc(); if (!p) return RET_PF_INVALID; *e = host_pa(p).v | 7; }
		tab = host_va(HPA(*e & 0xffffffffff000));
	}
	gfn.v &= ~((1ull << (9 * (level - 1))) - 1);
	tab[(gpa.v >> (12 + 9 * (level - 1))) & 511] = pfn_to_hpa(slot_pfn(s, gfn)).v | ((s->flags & SLOT_READONLY) ? 5 : 7) | (level > 1 ? 0x80 : 0);
	return RET_PF_FIXED;
}
enum ret_pf tdp_fault(struct tdp *t, gpa_t gpa, uint32_t error)
{
	enum ret_pf r;
	spin_lock(&t->lock);
	r = map(t, gpa, error);
	spin_unlock(&t->lock);
	return r;
}
