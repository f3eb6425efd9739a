/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The glue between a vCPU and the emulator: where its registers are, how its linear addresses
 * lead to RAM or to a device, and what to do with the result.
 *
 * The bytes at RIP are asked for often (a CPU without next-RIP makes us measure every
 * instruction that exits), so the last code page is remembered: CR3 and page number, and where
 * its bytes are in host memory. The CPU has just executed from there, so no permission is checked
 * again, and only the translation is remembered, never the bytes. A guest that changes the
 * mapping of the very page it executes under the same CR3 can make us read the old page; as the
 * instruction there must then be the intercepted one in order to be skipped, it can fool
 * nobody but itself. A change of the memory slots makes the memory of a page void.
 */
#include "vmm/insn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "mm/guest.h"
#include "mm/walk.h"
#include "vmm/insn_ctx.h"
#include "vmm/sysinsn.h"
#include "vmm/vm.h"

static void update_paging(struct vcpu *v, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	struct guest_paging *p = &v->paging;

	p->cr0 = cr0;
	p->cr4 = cr4;
	p->efer = efer;
	p->maxphyaddr = v->vm->cpuid.ext[8].eax & 0xff;
	p->has_1g_pages = cpuid_has(&v->vm->cpuid, CPUID_EXT1_EDX, 26);
	p->amd = cpuid_is_amd(&v->vm->cpuid);
	guest_paging_update(p);
}

/* PKRU stays in the CPU between a guest's exits, as the rest of the XSAVE state does. */
static uint32_t read_pkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

/*
 * They are in registers; or NPT hardware reads PDPTEs from memory at each walk, and the guest got
 * here with these, so they are not checked again: QEMU sets the accessed bit in them, which is
 * reserved by the book.
 */
static void read_pdptes(struct vcpu *v, struct guest_paging *p)
{
	if (virt_has_pdptes(&v->virt))
		virt_pdptes_read(&v->virt, p->pdpte);
	else if (guest_read(&v->vm->mem, GPA(p->cr3 & GENMASK_ULL(31, 5)), p->pdpte,
			    sizeof(p->pdpte)))
		memset(p->pdpte, 0, sizeof(p->pdpte));
}

/* The guest changes its control registers without exits: look whether it has. */
const struct guest_paging *insn_paging(struct vcpu *v)
{
	struct guest_paging *p = &v->paging;
	uint64_t cr0 = virt_reg_read(&v->virt, VREG_CR0);
	uint64_t cr4 = virt_reg_read(&v->virt, VREG_CR4);
	uint64_t efer = virt_reg_read(&v->virt, VREG_EFER);

	if (unlikely(cr0 != p->cr0 || cr4 != p->cr4 || efer != p->efer || !p->maxphyaddr))
		update_paging(v, cr0, cr4, efer);
	p->cr3 = virt_reg_read(&v->virt, VREG_CR3);
	if (unlikely(p->levels == 3))
		read_pdptes(v, p);
	if (unlikely(cr4 & CR4_PKE))
		p->pkru = read_pkru();
	return p;
}

static const struct guest_paging *paging_of(struct insn_ctx *c)
{
	if (c->paging_current)
		return &c->v->paging;
	c->paging_current = true;
	return insn_paging(c->v);
}

static uint32_t walk_access(const struct emul_ctx *c, unsigned access)
{
	uint32_t a = 0;

	if (access & EMUL_ACC_WRITE)
		a |= PFERR_WRITE;
	if (access & EMUL_ACC_SYSTEM)
		return a | WALK_IMPLICIT;
	if (c->cpl == 3)
		a |= PFERR_USER;
	if (c->rflags & RFLAGS_AC)
		a |= WALK_AC;
	return a;
}

/*
 * The exit has told where the operand lies, if the instruction has only one: the CPU has walked the
 * guest's tables for it, with the rights that the access needs. A read-modify-write that faulted
 * as a read has not been checked for writing yet.
 */
static bool is_faulting_operand(const struct emul_ctx *c, gva_t gva, uint32_t access)
{
	const struct insn_ctx *ic = container_of(c, struct insn_ctx, ctx);

	/* fault_error is never 0 for an operand: nested accesses are user accesses, at the least.
	 */
	return ic->fault_error && !((gva.v ^ ic->fault_gpa.v) & ~PAGE_MASK) &&
	       !(access & PFERR_WRITE & ~ic->fault_error);
}

/* Linear to guest-physical, with the rights that the access needs; or a #PF recorded. */
static int walk_for(struct emul_ctx *c, gva_t gva, uint32_t access, gpa_t *gpa)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	struct walk_result walk;
	int r = guest_walk(&ic->v->vm->mem, paging_of(ic), gva, access, &walk);

	if (unlikely(r))
		return r == -EAGAIN ? EMUL_AGAIN : emul_set_page_fault(c, gva, walk.error);
	*gpa = walk.gpa;
	return EMUL_OK;
}

static inline int translate(struct emul_ctx *c, gva_t gva, unsigned access, gpa_t *gpa)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	uint32_t rights;

	if (c->mode == EMUL_REAL) { /* no paging */
		*gpa = GPA(gva.v);
		return EMUL_OK;
	}
	rights = walk_access(c, access);
	if (!is_faulting_operand(c, gva, rights))
		return walk_for(c, gva, rights, gpa);
	*gpa = ic->fault_gpa;
	return EMUL_OK;
}

/* Known not to be RAM, because the exit said so. */
static bool is_device(struct insn_ctx *ic, gpa_t gpa)
{
	return ic->device && gpa.v == ic->fault_gpa.v;
}

/* Sizes that a bus carries, one access; what is larger or odd goes in pieces of them. */
static unsigned piece(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void put(void *buf, uint64_t val, unsigned size)
{
	switch (size) {
	case 1:
		memcpy(buf, &val, 1);
		break;
	case 2:
		memcpy(buf, &val, 2);
		break;
	case 4:
		memcpy(buf, &val, 4);
		break;
	default:
		memcpy(buf, &val, 8);
	}
}

static uint64_t get(const void *buf, unsigned size)
{
	uint64_t val = 0;

	switch (size) {
	case 1:
		memcpy(&val, buf, 1);
		break;
	case 2:
		memcpy(&val, buf, 2);
		break;
	case 4:
		memcpy(&val, buf, 4);
		break;
	default:
		memcpy(&val, buf, 8);
	}
	return val;
}

static void mmio_read(struct vcpu *v, gpa_t gpa, char *buf, unsigned len)
{
	for (;;) {
		unsigned n = piece(len);

		put(buf, platform_mmio_read(v->vm->platform, v->lapic, gpa, n), n);
		if (likely(n == len))
			return;
		buf += n;
		gpa.v += n;
		len -= n;
	}
}

static void mmio_write(struct vcpu *v, gpa_t gpa, const char *buf, unsigned len)
{
	for (;;) {
		unsigned n = piece(len);

		platform_mmio_write(v->vm->platform, v->lapic, gpa, n, get(buf, n));
		if (likely(n == len))
			return;
		buf += n;
		gpa.v += n;
		len -= n;
	}
}

static int read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	gpa_t gpa;
	int r = translate(c, gva, access, &gpa);

	if (r || (access & EMUL_ACC_PROBE))
		return r;
	if (is_device(insn_ctx_of(c), gpa) || guest_read(&v->vm->mem, gpa, buf, len))
		mmio_read(v, gpa, buf, len);
	return EMUL_OK;
}

static int write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	gpa_t gpa;
	int r = translate(c, gva, access | EMUL_ACC_WRITE, &gpa);

	if (r)
		return r;
	if (is_device(insn_ctx_of(c), gpa) || guest_write(&v->vm->mem, gpa, buf, len))
		mmio_write(v, gpa, buf, len);
	return EMUL_OK;
}

/* On RAM atomic for what fits; a device is written: nobody else compares and swaps there. */
static int cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val, unsigned len,
		   unsigned access)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	char expected[16];
	gpa_t gpa;
	int r = translate(c, gva, access, &gpa);

	if (r)
		return r;
	memcpy(expected, old, len);
	r = guest_cmpxchg(&v->vm->mem, gpa, expected, val, len);
	if (r == 1)
		return EMUL_AGAIN;
	if (r == -EINVAL) /* 16 bytes: no guest shares such a word with a write that exits */
		return write(c, gva, val, len, access);
	if (r)
		mmio_write(v, gpa, val, len);
	return EMUL_OK;
}

static int pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val)
{
	*val = (uint32_t)platform_pio_read(insn_ctx_of(c)->v->vm->platform, port, size);
	return EMUL_OK;
}

static int pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val)
{
	platform_pio_write(insn_ctx_of(c)->v->vm->platform, port, size, val);
	return EMUL_OK;
}

static void get_segment(struct emul_ctx *c, enum seg seg)
{
	virt_seg_read(&insn_ctx_of(c)->v->virt, seg, &c->seg[seg]);
	c->segs_known |= BIT(seg);
}

/* The page that `gva` is in, as code; NULL: it has to be walked for, or is not memory. */
static const uint8_t *cached_code(struct vcpu *v, gva_t gva)
{
	const struct code_page *p = &v->code;

	if (p->page != gva.v >> PAGE_SHIFT || p->cr3 != virt_reg_read(&v->virt, VREG_CR3) ||
	    p->slots_generation != slots_generation(&v->vm->mem))
		return NULL;
	return p->bytes + (gva.v & ~PAGE_MASK);
}

static int find_code(struct emul_ctx *c, gva_t gva, const uint8_t **bytes)
{
	struct vcpu *v = insn_ctx_of(c)->v;
	uint32_t access = PFERR_FETCH | (c->cpl == 3 ? PFERR_USER : 0);
	gpa_t gpa;
	int r = walk_for(c, gva, access, &gpa);

	if (r)
		return r;
	*bytes = guest_ptr(&v->vm->mem, gpa, 1, false);
	if (!*bytes)
		return EMUL_UNHANDLED;
	v->code = (struct code_page){
		.cr3 = virt_reg_read(&v->virt, VREG_CR3),
		.page = gva.v >> PAGE_SHIFT,
		.bytes = *bytes - (gva.v & ~PAGE_MASK),
		.slots_generation = slots_generation(&v->vm->mem),
	};
	return EMUL_OK;
}

static int fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	const uint8_t *bytes = cached_code(insn_ctx_of(c)->v, gva);

	if (unlikely(!bytes)) {
		int r = find_code(c, gva, &bytes);

		if (r)
			return r;
	}
	memcpy(buf, bytes, len);
	return EMUL_OK;
}

static const struct emul_ops ops = {
	.fetch = fetch,
	.read = read,
	.write = write,
	.cmpxchg = cmpxchg,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.get_segment = get_segment,
	.is_amd = insn_is_amd,
	.cr_read = insn_cr_read,
	.cr_write = insn_cr_write,
	.dr_read = insn_dr_read,
	.dr_write = insn_dr_write,
	.table_read = insn_table_read,
	.table_write = insn_table_write,
	.fpu = insn_fpu,
	.system = insn_system,
};

static inline void set_mode(struct insn_ctx *ic)
{
	const struct virt_insn_state *s = &ic->state;
	struct emul_ctx *c = &ic->ctx;

	c->lma = s->efer & EFER_LMA;
	c->cpl = s->cpl;
	c->va_bits = s->cr4 & CR4_LA57 ? 57 : 48;
	c->mode = emul_mode_of(s->cr0 & CR0_PE, c->rflags & RFLAGS_VM, c->lma, s->cs_attr);
	ic->mode_changed = false;
}

void insn_update_mode(struct insn_ctx *ic)
{
	virt_insn_state(&ic->v->virt, &ic->state);
	set_mode(ic);
}

void insn_begin(struct insn_ctx *ic, struct vcpu *v)
{
	struct emul_ctx *c = &ic->ctx;

	virt_insn_state(&v->virt, &ic->state);
	if (unlikely(ic->state.cr8 != v->cr8))
		vcpu_sync_task_priority(v);
	ic->v = v;
	ic->paging_current = false;
	ic->halt = false;
	ic->device = false;
	ic->fault_error = 0;
	c->ops = &ops;
	c->gpr = v->virt.gpr;
	c->rip = v->virt.rip;
	c->rflags = ic->state.rflags;
	c->int_shadow = ic->state.irq_shadow;
	c->segs_known = c->segs_dirty = 0;
	c->insn.nr_bytes = 0;
	set_mode(ic);
}

__cold void insn_inject(struct vcpu *v, const struct emul_fault *f)
{
	if (f->vector == X86_TRAP_PF)
		vcpu_inject_page_fault(v, GVA(f->cr2), f->error);
	else if (f->has_error)
		vcpu_inject_error(v, f->vector, f->error);
	else
		vcpu_inject_exception(v, f->vector);
}

__cold void insn_report_unhandled(struct insn_ctx *ic)
{
	const struct emul_insn *insn = &ic->ctx.insn;
	char hex[3 * EMUL_MAX_INSN_LEN + 1] = "";
	struct segment cs;

	for (unsigned i = 0; i < insn->nr_bytes; i++)
		snprintf(hex + 3 * i, 4, " %02x", insn->bytes[i]);
	virt_seg_read(&ic->v->virt, SEG_CS, &cs);
	vm_bug(ic->v, "cannot emulate the instruction at %04x:%llx:%s", cs.selector,
	       (unsigned long long)ic->ctx.rip, hex);
}

static __cold void commit_segments(struct insn_ctx *ic, unsigned segs)
{
	for (unsigned i = 0; segs; i++, segs >>= 1) {
		if (segs & 1)
			virt_seg_write(&ic->v->virt, i, &ic->ctx.seg[i]);
	}
}

static __always_inline void commit_some(struct insn_ctx *ic, unsigned segs)
{
	struct emul_ctx *c = &ic->ctx;

	ic->v->virt.rip = c->rip;
	if (unlikely(segs))
		commit_segments(ic, segs);
	virt_set_insn_state(&ic->v->virt, c->rflags, c->int_shadow);
}

void insn_commit(struct insn_ctx *ic, unsigned segs)
{
	commit_some(ic, segs);
}

static void commit(struct insn_ctx *ic)
{
	commit_some(ic, ic->ctx.segs_dirty);
	if (unlikely(ic->ctx.trap))
		vcpu_raise_single_step(ic->v);
	if (unlikely(ic->halt))
		sysinsn_hlt(ic->v);
}

/* Does the instruction touch memory at its ModRM operand, and nowhere else? */
static bool has_one_memory_operand(const struct emul_insn *insn)
{
	switch (insn->op) {
	case OP_MOV:
	case OP_MOVZX:
	case OP_MOVSX:
	case OP_ADD ... OP_CMP:
	case OP_TEST:
	case OP_XCHG:
		return true;
	default:
		return false;
	}
}

/* The instruction was not executed, or not to its end. */
static __cold void finish_early(struct insn_ctx *ic, int result)
{
	struct vcpu *v = ic->v;

	switch (result) {
	case EMUL_FAULT:
		insn_commit(ic, ic->ctx.segs_dirty);
		insn_inject(v, &ic->ctx.fault);
		break;
	case EMUL_AGAIN: /* registers of finished iterations are in place already */
		virt_set_rflags(&v->virt, ic->ctx.rflags);
		if (ic->ctx.trap)
			vcpu_raise_single_step(v);
		break;
	default:
		insn_report_unhandled(ic);
	}
}

void insn_finish(struct insn_ctx *ic, int result)
{
	if (likely(result == EMUL_OK))
		commit(ic);
	else
		finish_early(ic, result);
}

void insn_emulate(struct vcpu *v)
{
	struct insn_ctx ic;

	insn_begin(&ic, v);
	insn_finish(&ic, emul_run(&ic.ctx));
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

/* What was never filled in has a generation that no slots have. */
static bool is_decoded(const struct insn_ctx *ic, const struct decoded_insn *d)
{
	struct vcpu *v = ic->v;
	uint64_t differs = (d->rip ^ v->virt.rip) | (d->cs_base ^ ic->state.cs_base) |
			   (d->cr3 ^ ic->state.cr3) | (d->mode ^ ic->ctx.mode) |
			   (d->slots_generation ^ slots_generation(&v->vm->mem));

	return !differs && !(((d->bytes[0] & d->mask[0]) ^ d->value[0]) |
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
		.insn = c->insn,
	};
	memcpy(d->value, c->insn.bytes, EMUL_MAX_INSN_LEN);
	d->value[0] &= d->mask[0];
	d->value[1] &= d->mask[1];
}

static __attribute__((noinline)) int decode_anew(struct insn_ctx *ic)
{
	int r = emul_decode(&ic->ctx);

	if (r == EMUL_OK)
		remember_decoded(ic->v, &ic->ctx);
	return r;
}

int insn_decode(struct insn_ctx *ic)
{
	const struct decoded_insn *d = decoded_slot(ic->v);

	if (unlikely(!is_decoded(ic, d)))
		return decode_anew(ic);
	ic->ctx.insn = d->insn;
	return EMUL_OK;
}

void insn_emulate_fault(struct vcpu *v, const struct vm_exit *exit)
{
	struct insn_ctx ic;
	int r;

	insn_begin(&ic, v);
	if (exit->fault.insn_bytes) {
		ic.ctx.insn.nr_bytes = exit->fault.insn_bytes;
		memcpy(ic.ctx.insn.bytes, exit->fault.insn, EMUL_MAX_INSN_LEN);
	}
	r = insn_decode(&ic);
	if (r == EMUL_OK) {
		if (!(exit->fault.error & PFERR_FETCH) && has_one_memory_operand(&ic.ctx.insn)) {
			ic.fault_error = exit->fault.error;
			ic.fault_gpa = exit->fault.gpa;
			/* An MMIO entry led here only because there is no slot. */
			ic.device = (exit->fault.error & PFERR_RSVD) ||
				    !slots_find(&v->vm->mem, gpa_to_gfn(exit->fault.gpa));
		}
		r = emul_execute(&ic.ctx);
	}
	insn_finish(&ic, r);
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
