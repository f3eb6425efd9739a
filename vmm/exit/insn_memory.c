/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the operands of an emulated instruction are: how the guest's linear addresses lead to RAM
 * or to a device, and its ports.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86/regs.h"
#include "mm/guest.h"
#include "mm/walk.h"
#include "vmm/exit/breakpoint.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/vcpu_paging.h"

static const struct guest_paging *paging_of(struct insn_ctx *c)
{
	if (c->paging_current)
		return &c->v->paging;
	c->paging_current = true;
	return vcpu_paging(c->v);
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
int insn_walk_trail(struct emul_ctx *c, gva_t gva, uint32_t access, struct walk_result *walk)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	int r = guest_walk(&ic->v->vm->mem, paging_of(ic), gva, access, walk);

	if (likely(!r))
		return EMUL_OK;
	return r == -EAGAIN ? EMUL_AGAIN : emul_set_page_fault(c, gva, walk->error);
}

int insn_walk(struct emul_ctx *c, gva_t gva, uint32_t access, gpa_t *gpa)
{
	struct walk_result walk;
	int r = insn_walk_trail(c, gva, access, &walk);

	if (likely(!r))
		*gpa = walk.gpa;
	return r;
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
		return insn_walk(c, gva, rights, gpa);
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

static void mmio_read(struct insn_ctx *ic, gpa_t gpa, char *buf, unsigned len)
{
	struct vcpu *v = ic->v;

	ic->used_device = true;
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

static void mmio_write(struct insn_ctx *ic, gpa_t gpa, const char *buf, unsigned len)
{
	struct vcpu *v = ic->v;

	ic->used_device = true;
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

/* For a trap behind the instruction. */
static inline void watch(struct insn_ctx *ic, enum breakpoint_kind kind, gva_t gva, unsigned len)
{
	uint64_t dr7 = virt_dr7(&ic->v->virt);

	if (unlikely(dr7 & DR7_ENABLED))
		ic->hits |= breakpoint_hits(dr7, kind, gva.v, len);
}

static inline void watch_port(struct insn_ctx *ic, uint16_t port, unsigned size)
{
	ic->used_device = true;
	if (unlikely(virt_dr7(&ic->v->virt) & DR7_ENABLED))
		ic->hits |= breakpoint_port_hits(ic->v, port, size);
}

int insn_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	gpa_t gpa;
	int r = translate(c, gva, access, &gpa);

	if (r || (access & EMUL_ACC_PROBE))
		return r;
	watch(ic, BREAK_ACCESS, gva, len);
	if (is_device(ic, gpa) || guest_read(&ic->v->vm->mem, gpa, buf, len))
		mmio_read(ic, gpa, buf, len);
	return EMUL_OK;
}

int insn_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	gpa_t gpa;
	int r = translate(c, gva, access | EMUL_ACC_WRITE, &gpa);

	if (r)
		return r;
	watch(ic, BREAK_WRITE, gva, len);
	if (is_device(ic, gpa) || guest_write(&ic->v->vm->mem, gpa, buf, len))
		mmio_write(ic, gpa, buf, len);
	return EMUL_OK;
}

/* On RAM atomic for what fits; a device is written: nobody else compares and swaps there. */
int insn_cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val, unsigned len,
		 unsigned access)
{
	struct insn_ctx *ic = insn_ctx_of(c);
	char expected[16];
	gpa_t gpa;
	int r = translate(c, gva, access, &gpa);

	if (r)
		return r;
	memcpy(expected, old, len);
	r = guest_cmpxchg(&ic->v->vm->mem, gpa, expected, val, len);
	if (r == 1)
		return EMUL_AGAIN;
	if (r == -EINVAL) /* 16 bytes: no guest shares such a word with a write that exits */
		return insn_write(c, gva, val, len, access);
	watch(ic, BREAK_WRITE, gva, len);
	if (r)
		mmio_write(ic, gpa, val, len);
	return EMUL_OK;
}

int insn_pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val)
{
	struct insn_ctx *ic = insn_ctx_of(c);

	watch_port(ic, port, size);
	*val = (uint32_t)platform_pio_read(ic->v->vm->platform, port, size);
	return EMUL_OK;
}

int insn_pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val)
{
	struct insn_ctx *ic = insn_ctx_of(c);

	watch_port(ic, port, size);
	platform_pio_write(ic->v->vm->platform, port, size, val);
	return EMUL_OK;
}
