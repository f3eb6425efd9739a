/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the instructions of a guest are, and what they are: their bytes, and those that were
 * measured or decoded before.
 *
 * The bytes at RIP are asked for often (a CPU without next-RIP makes us measure every
 * instruction that exits), so the last code page is remembered: CR3 and page number, and where
 * its bytes are in host memory. The CPU has just executed from there, so no permission is checked
 * again. What is remembered is compared with the guest's memory each time, the bytes of an
 * instruction as well as the entries of the page tables that led to them: the guest may change
 * both. A change of the memory slots makes the memory of a page void.
 */
#include <string.h>

#include "arch/x86/regs.h"
#include "mm/guest.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"

/* The page that `gva` is in, as code; NULL: it has to be walked for, or is not memory. */
static const uint8_t *cached_code(struct vcpu *v, gva_t gva)
{
	const struct code_page *p = &v->code;

	if (p->page != gva.v >> PAGE_SHIFT || p->cr3 != virt_reg_read(&v->virt, VREG_CR3) ||
	    p->slots_generation != slots_generation(&v->vm->mem) || !code_trail_holds(&p->trail))
		return NULL;
	return p->bytes + (gva.v & ~PAGE_MASK);
}

/* --- the way to a page --- */

static const uint64_t nothing; /* for levels that a walk did not have */

/* The word of 8 bytes that has an entry, or two. False: the entry is not `val` any more. */
static bool add_entry(struct code_trail *t, unsigned n, const void *entry, uint64_t val,
		      bool narrow)
{
	const uint64_t *word = (const uint64_t *)((uintptr_t)entry & ~7ul);
	uint64_t now = __atomic_load_n(word, __ATOMIC_RELAXED);

	t->at[n] = word;
	t->val[n] = now;
	if (!narrow)
		return now == val;
	return (uint32_t)((uintptr_t)entry & 4 ? now >> 32 : now) == (uint32_t)val;
}

/*
 * PAE's uppermost entries, which are in registers: as long as memory has what the register has, and
 * stays so, a MOV to CR3 that fills the registers anew changes nothing.
 */
static bool add_pdpte(struct vcpu *v, gva_t gva, struct code_trail *t, unsigned n)
{
	unsigned i = gva.v >> 30 & 3;
	gpa_t at = GPA((v->paging.cr3 & GENMASK_ULL(31, 5)) + 8 * i);
	const void *entry = guest_ptr(&v->vm->mem, at, 8, false);

	return entry && add_entry(t, n, entry, v->paging.pdpte[i], false);
}

/* False: something has changed since the walk, which is not to be remembered. */
static bool take_trail(struct vcpu *v, gva_t gva, const struct walk_result *walk,
		       struct code_trail *t)
{
	bool ok = true;
	unsigned n = 0;

	for (unsigned level = walk->last; level && level <= walk->top && ok; level++, n++)
		ok = add_entry(t, n, walk->step[level].host, walk->step[level].val,
			       v->paging.levels == 2);
	if (walk->top && v->paging.levels == 3 && ok)
		ok = add_pdpte(v, gva, t, n++);
	for (; n < WALK_MAX_LEVEL; n++)
		add_entry(t, n, &nothing, 0, false);
	return ok;
}

/* --- bytes --- */

/* EMUL_OK with NULL in *bytes: no memory. */
static int find_code(struct emul_ctx *c, gva_t gva, const uint8_t **bytes)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	uint32_t access = PFERR_FETCH | (c->cpl == 3 ? PFERR_USER : 0);
	/* Before the pointer: slots that change in between make what is remembered void. */
	uint64_t generation = slots_generation(&v->vm->mem);
	struct walk_result walk;
	struct code_trail trail;
	int r = insn_walk_trail(c, gva, access, &walk);

	if (r)
		return r;
	*bytes = guest_ptr(&v->vm->mem, walk.gpa, 1, false);
	v->code.page = ~0ull;
	if (!*bytes || !take_trail(v, gva, &walk, &trail))
		return EMUL_OK;
	v->code = (struct code_page){
		.cr3 = virt_reg_read(&v->virt, VREG_CR3),
		.page = gva.v >> PAGE_SHIFT,
		.bytes = *bytes - (gva.v & ~PAGE_MASK),
		.slots_generation = generation,
		.trail = trail,
	};
	return EMUL_OK;
}

/* From nothing, and from devices, which no code comes from, all ones are fetched. */
int insn_fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	const uint8_t *bytes = cached_code(insn_ctx_of(c)->v, gva);

	if (unlikely(!bytes)) {
		int r = find_code(c, gva, &bytes);

		if (r)
			return r;
	}
	if (unlikely(!bytes))
		memset(buf, 0xff, len);
	else if (likely(len == EMUL_MAX_INSN_LEN)) /* two moves */
		memcpy(buf, bytes, EMUL_MAX_INSN_LEN);
	else
		memcpy(buf, bytes, len);
	return EMUL_OK;
}

static gva_t linear_rip(struct vcpu *v)
{
	if (virt_cs_attr(&v->virt) & SEG_ATTR_L)
		return GVA(v->virt.rip);
	return GVA((uint32_t)(virt_cs_base(&v->virt) + v->virt.rip));
}

static struct decoded_insn *decoded_slot(struct vcpu *v)
{
	return &v->decoded[v->virt.rip % NR_DECODED_INSNS];
}

/* An entry that was never filled in has a generation that slots never have. */
static bool is_decoded(const struct insn_ctx *ic, const struct decoded_insn *d)
{
	struct vcpu *v = ic->v;
	uint64_t differs = (d->rip ^ v->virt.rip) | (d->cs_base ^ ic->state.cs_base) |
			   (d->cr3 ^ ic->state.cr3) | (d->mode ^ ic->ctx.mode) |
			   (d->slots_generation ^ slots_generation(&v->vm->mem));

	return !differs && code_trail_holds(&d->trail) &&
	       !(((d->bytes[0] & d->mask[0]) ^ d->value[0]) |
		 ((d->bytes[1] & d->mask[1]) ^ d->value[1]));
}

static void remember_decoded(struct vcpu *v, const struct emul_ctx *c)
{
	gva_t gva = linear_rip(v);
	const uint8_t *bytes = cached_code(v, gva);
	unsigned len = c->insn.len;
	struct decoded_insn *d = decoded_slot(v);

	if (!bytes || (gva.v & ~PAGE_MASK) > PAGE_SIZE - 16)
		return;
	*d = (struct decoded_insn){
		.rip = v->virt.rip,
		.cr3 = v->code.cr3,
		.cs_base = virt_cs_base(&v->virt),
		.slots_generation = v->code.slots_generation,
		.bytes = (const uint64_t *)bytes,
		.mask = {len >= 8 ? ~0ull : BIT_ULL(8 * len) - 1,
			 len > 8 ? BIT_ULL(8 * (len - 8)) - 1 : 0},
		.mode = c->mode,
		.trail = v->code.trail,
		.insn = c->insn,
	};
	memcpy(d->value, c->insn.bytes, EMUL_MAX_INSN_LEN);
	d->value[0] &= d->mask[0];
	d->value[1] &= d->mask[1];
}

static __attribute__((noinline)) int decode_anew(struct insn_ctx *ic)
{
	int r = emul_decode(&ic->ctx);

	if (r == EMUL_OK && ic->ctx.insn.op != OP_NATIVE)
		remember_decoded(ic->v, &ic->ctx);
	return r;
}

/* All but the bytes: only OP_NATIVE has a use for them, and that is not remembered. */
static __always_inline void take_over(struct emul_insn *to, const struct emul_insn *from)
{
	memcpy(to, from, offsetof(struct emul_insn, nr_bytes));
	memcpy(to->opnd, from->opnd, sizeof(*to) - offsetof(struct emul_insn, opnd));
}

int insn_decode(struct insn_ctx *ic)
{
	const struct decoded_insn *d = decoded_slot(ic->v);

	if (unlikely(!is_decoded(ic, d)))
		return decode_anew(ic);
	take_over(&ic->ctx.insn, &d->insn);
	return EMUL_OK;
}

/* Remember where an instruction is, if that is in a page we know. */
static void learn(struct vcpu *v)
{
	gva_t gva = linear_rip(v);
	const uint8_t *bytes = cached_code(v, gva);

	if (!bytes || (gva.v & ~PAGE_MASK) > PAGE_SIZE - sizeof(uint32_t))
		return;
	*insn_known(v) = (struct known_insn){
		.rip = v->virt.rip,
		.cr3 = v->code.cr3,
		.cs_base = virt_cs_base(&v->virt),
		.slots_generation = v->code.slots_generation,
		.bytes = (const uint32_t *)bytes,
		.leaf_at = v->code.trail.at[0],
		.leaf = v->code.trail.val[0],
	};
}

unsigned insn_length_slow(struct vcpu *v, enum emul_op op)
{
	struct insn_ctx ic;
	unsigned len;
	int r;

	insn_begin(&ic, v);
	r = emul_decode(&ic.ctx);
	if (r == EMUL_FAULT) {
		insn_inject(v, &ic.ctx.fault);
		return 0;
	}
	len = r == EMUL_OK && ic.ctx.insn.op == op ? ic.ctx.insn.len : 0;
	if (len)
		learn(v);
	return len;
}

unsigned insn_peek_length(struct vcpu *v, enum emul_op op)
{
	struct insn_ctx ic;

	insn_begin(&ic, v);
	return emul_insn_len(&ic.ctx, op);
}
