/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches (SDM volume 3, 7.3; APM volume 2, 12.3): for the instructions of this emulator, and
 * for CPUs that leave them to the hypervisor.
 *
 * Everything that can be found bad of the two TSSs is found before anything changes, and is a fault
 * of the old task. From the commit point on the new task has its registers, and what is wrong with
 * its segments is a fault of the new task. A bad CR3 (PAE's PDPTEs) lies between: it is a fault of
 * the old task, whose TSS and busy flag are already those of a task that was left.
 */
#include "vmm/emulate/internal.h"

/* Where things are in a TSS (SDM volume 3, figures 7-2 and 7-10). All registers have `size` bytes.
 */
struct tss_layout {
	uint8_t size;
	uint8_t regs;    /* IP, FLAGS, and the general registers in the order of their encoding */
	uint8_t segs;    /* selectors in the order of enum seg, then the LDT's */
	uint8_t nr_segs; /* without the LDT */
	uint8_t limit;   /* the least that it may have */
};

static const struct tss_layout tss16 = {2, 0x0e, 0x22, 4, 0x2b};
static const struct tss_layout tss32 = {4, 0x20, 0x48, 6, 0x67};

#define TSS_LINK 0
#define TSS_CR3  0x1c /* of 32 bits only, as the next */
#define TSS_TRAP 0x64
#define TSS_MAX  0x68

/* What a TSS can set of EFLAGS. */
#define FLAGS_OF_TASK                                                                              \
	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_IF |       \
	 RFLAGS_DF | RFLAGS_OF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC |     \
	 RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID)

#define DR7_LOCAL (BIT(0) | BIT(2) | BIT(4) | BIT(6))

#define SEG_ATTR_CODE (SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_RW | 1)
#define SEG_ATTR_VM86 (SEG_ATTR_P | SEG_ATTR_DPL | SEG_ATTR_S | SEG_TYPE_RW | 1)

/* A switch under way. */
struct task {
	const struct emul_task_switch *how;
	const struct tss_layout *old, *next;
	struct descriptor old_desc, new_desc; /* old_desc: if its busy flag is to be cleared */
	struct segment tr;                    /* the new one */
	uint8_t tss[TSS_MAX];                 /* the new one's memory */
};

/* The old task goes on when the new one returns. */
static bool is_nesting(const struct task *k)
{
	return k->how->source == TASK_CALL || k->how->source == TASK_GATE;
}

static const struct tss_layout *layout_of(const struct segment *tr)
{
	return tr->attr & TYPE_32BIT ? &tss32 : &tss16;
}

/* --- memory -------------------------------------------------------------------------- */

/* How much of [la, la + len) one callback can do. */
static unsigned piece(uint64_t la, unsigned len)
{
	unsigned room = PAGE_SIZE - (la & ~PAGE_MASK);

	room = min(room, 16u);
	return min(room, len);
}

static int probe(struct emul_ctx *c, uint64_t la, unsigned len, unsigned access)
{
	int err = EMUL_OK;

	for (unsigned n; len && !err; la += n, len -= n) {
		n = piece(la, len);
		err = c->ops->read(c, GVA((uint32_t)la), NULL, n,
				   access | EMUL_ACC_SYSTEM | EMUL_ACC_PROBE);
	}
	return err;
}

static int read_memory(struct emul_ctx *c, uint64_t la, uint8_t *buf, unsigned len)
{
	int err = EMUL_OK;

	for (unsigned n; len && !err; la += n, buf += n, len -= n) {
		n = piece(la, len);
		err = c->ops->read(c, GVA((uint32_t)la), buf, n, EMUL_ACC_SYSTEM);
	}
	return err;
}

static int write_memory(struct emul_ctx *c, uint64_t la, const void *buf, unsigned len)
{
	const uint8_t *bytes = buf;
	int err = EMUL_OK;

	for (unsigned n; len && !err; la += n, bytes += n, len -= n) {
		n = piece(la, len);
		err = c->ops->write(c, GVA((uint32_t)la), bytes, n,
				    EMUL_ACC_WRITE | EMUL_ACC_SYSTEM);
	}
	return err;
}

/* --- before the commit point --------------------------------------------------------- */

static bool is_tss(const struct segment *s)
{
	unsigned type = s->attr & (SEG_ATTR_S | SEG_ATTR_TYPE) & ~TYPE_TSS_BUSY;

	return type == TYPE_TSS16 || type == TYPE_TSS32;
}

/* An IRET goes back to a task that is busy; all others start one that is not. */
static bool is_ready(const struct task *k)
{
	bool busy = k->tr.attr & TYPE_TSS_BUSY;

	return is_tss(&k->tr) && busy == (k->how->source == TASK_IRET);
}

static int find_new(struct emul_ctx *c, struct task *k)
{
	uint16_t selector = k->how->selector;
	bool found = false;
	int err = EMUL_OK;

	if (!(selector & SELECTOR_TI))
		err = emul_descriptor_find(c, selector, &k->new_desc, &found);
	if (err)
		return err;
	if (found)
		k->tr = emul_descriptor_segment(&k->new_desc, selector);
	if (!found || !is_ready(k))
		return emul_selector_fault(
			c, k->how->source == TASK_IRET ? X86_TRAP_TS : X86_TRAP_GP, selector);
	if (!(k->tr.attr & SEG_ATTR_P))
		return emul_selector_fault(c, X86_TRAP_NP, selector);
	k->next = layout_of(&k->tr);
	return k->tr.limit < k->next->limit ? emul_selector_fault(c, X86_TRAP_TS, selector)
					    : EMUL_OK;
}

/* The old TSS must have room for what is saved, and a descriptor. */
static int find_old(struct emul_ctx *c, struct task *k)
{
	const struct segment *tr = emul_segment(c, SEG_TR);
	bool found = true;
	int err = EMUL_OK;

	k->old = layout_of(tr);
	if (!is_nesting(k))
		err = emul_descriptor_find(c, tr->selector, &k->old_desc, &found);
	if (err)
		return err;
	return !found || tr->limit < k->old->limit
		       ? emul_selector_fault(c, X86_TRAP_TS, tr->selector)
		       : EMUL_OK;
}

/* All pages that are going to be read and written; the new TSS's descriptor is next. */
static int probe_all(struct emul_ctx *c, const struct task *k)
{
	const struct tss_layout *o = k->old;
	unsigned saved = o->segs + o->nr_segs * o->size - o->regs;
	int err = probe(c, emul_segment(c, SEG_TR)->base + o->regs, saved, EMUL_ACC_WRITE);

	if (!err)
		err = probe(c, k->tr.base, k->next->limit + 1, 0);
	if (!err && is_nesting(k))
		err = probe(c, k->tr.base + TSS_LINK, 2, EMUL_ACC_WRITE);
	if (!err && !is_nesting(k))
		err = probe(c, k->old_desc.at.v + 5, 1, EMUL_ACC_WRITE);
	return err;
}

static int save_old(struct emul_ctx *c, const struct task *k)
{
	const struct tss_layout *o = k->old;
	uint64_t base = emul_segment(c, SEG_TR)->base, flags = c->rflags;
	uint8_t regs[10 * 4], *p = regs;
	int err;

	if (!k->how->external) /* an instruction has come to its end */
		flags &= ~RFLAGS_RF;
	if (k->how->source == TASK_IRET)
		flags &= ~RFLAGS_NT;
	__builtin_memcpy(p, &k->how->rip, o->size);
	__builtin_memcpy(p += o->size, &flags, o->size);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		__builtin_memcpy(p += o->size, &c->gpr[i], o->size);
	err = write_memory(c, base + o->regs, regs, 10 * o->size);
	for (unsigned i = 0; i < o->nr_segs && !err; i++)
		err = write_memory(c, base + o->segs + i * o->size, &emul_segment(c, i)->selector,
				   2);
	return err;
}

/*
 * The old task's busy flag goes, or the new task gets a link to it. The flag's byte is simply
 * written: nobody else has a use for the TSS of a running task.
 */
static int leave_old(struct emul_ctx *c, const struct task *k)
{
	uint8_t type = (uint8_t)(k->old_desc.low >> 40) & ~TYPE_TSS_BUSY;

	if (is_nesting(k))
		return write_memory(c, k->tr.base + TSS_LINK, &emul_segment(c, SEG_TR)->selector,
				    2);
	return write_memory(c, k->old_desc.at.v + 5, &type, 1);
}

static uint32_t field(const struct task *k, unsigned at, unsigned size)
{
	uint32_t val = 0;

	__builtin_memcpy(&val, k->tss + at, size);
	return val;
}

/* CR3; CR0.TS; and the breakpoints of the old task end with it. */
static int load_control_registers(struct emul_ctx *c, const struct task *k)
{
	uint64_t cr0 = 0, dr7 = 0;
	int err = c->ops->cr_read(c, 0, &cr0);

	if (!err && (cr0 & CR0_PG) && k->next == &tss32)
		err = c->ops->cr_write(c, 3, field(k, TSS_CR3, 4));
	if (!err)
		err = c->ops->cr_write(c, 0, cr0 | CR0_TS);
	if (!err)
		err = c->ops->dr_read(c, 7, &dr7);
	return err ? err : c->ops->dr_write(c, 7, dr7 & ~(uint64_t)DR7_LOCAL);
}

/* The busy flag is the lock on the new task: it comes before all other stores. */
static int leave(struct emul_ctx *c, struct task *k)
{
	int err = find_new(c, k);

	if (!err)
		err = find_old(c, k);
	if (!err)
		err = probe_all(c, k);
	if (!err)
		err = emul_descriptor_set_type(c, &k->new_desc, TYPE_TSS_BUSY);
	if (!err)
		err = save_old(c, k);
	if (!err)
		err = leave_old(c, k);
	if (!err)
		err = read_memory(c, k->tr.base, k->tss, k->next->limit + 1);
	return err ? err : load_control_registers(c, k);
}

/* --- behind it ----------------------------------------------------------------------- */

static uint16_t selector_of(const struct task *k, enum seg seg)
{
	const struct tss_layout *n = k->next;

	if (seg == SEG_LDTR)
		return (uint16_t)field(k, n->segs + n->nr_segs * n->size, 2);
	return seg < n->nr_segs ? (uint16_t)field(k, n->segs + seg * n->size, 2) : 0;
}

/* Upper halves that a TSS of 16 bits does not have become 0: the manuals leave that open. */
static void load_registers(struct emul_ctx *c, const struct task *k)
{
	const struct tss_layout *n = k->next;
	uint64_t flags = field(k, n->regs + n->size, n->size);

	if (is_nesting(k))
		flags |= RFLAGS_NT;
	c->rflags = (flags & FLAGS_OF_TASK) | RFLAGS_FIXED;
	c->rip = field(k, n->regs, n->size);
	for (unsigned i = GPR_RAX; i <= GPR_RDI; i++)
		c->gpr[i] = field(k, n->regs + (2 + i) * n->size, n->size);
}

/* A segment register that has its selector, and not yet what that selects. */
static struct segment unloaded(const struct emul_ctx *c, enum seg seg, uint16_t selector)
{
	uint16_t dpl = (uint16_t)FIELD_PREP(SEG_ATTR_DPL, c->cpl);

	if (c->mode == EMUL_VM86 && seg != SEG_LDTR)
		return (struct segment){.selector = selector,
					.base = (uint32_t)selector << 4,
					.limit = 0xffff,
					.attr = SEG_ATTR_VM86};
	/* CPL must be right in any case, and some CPUs take it from SS. */
	if (seg == SEG_CS)
		return (struct segment){.selector = selector, .attr = SEG_ATTR_CODE | dpl};
	return (struct segment){.selector = selector,
				.attr = SEG_ATTR_UNUSABLE | (seg == SEG_SS ? dpl : 0)};
}

static void load_selectors(struct emul_ctx *c, const struct task *k)
{
	bool vm86 = c->rflags & RFLAGS_VM;
	struct segment tr = k->tr;

	c->cpl = vm86 ? 3 : selector_of(k, SEG_CS) & SELECTOR_RPL;
	c->mode = vm86 ? EMUL_VM86 : EMUL_PROT32;
	for (enum seg seg = SEG_ES; seg <= SEG_LDTR; seg++) {
		struct segment s = unloaded(c, seg, selector_of(k, seg));

		emul_segment_set(c, seg, &s);
	}
	tr.attr |= TYPE_TSS_BUSY;
	emul_segment_set(c, SEG_TR, &tr);
}

/* What would be #GP anywhere else is #TS here; so is an LDT that is not present. */
static int load_segment(struct emul_ctx *c, const struct task *k, enum seg seg)
{
	uint16_t selector = selector_of(k, seg);
	struct segment s;
	int err;

	if (seg == SEG_LDTR)
		err = emul_ldt_check(c, selector, &s);
	else if (seg == SEG_CS)
		err = emul_code_check(c, selector, &s);
	else
		err = emul_segment_check(c, seg, selector, &s);
	if (err == EMUL_FAULT &&
	    (c->fault.vector == X86_TRAP_GP || (seg == SEG_LDTR && c->fault.vector == X86_TRAP_NP)))
		c->fault.vector = X86_TRAP_TS;
	if (!err)
		emul_segment_set(c, seg, &s);
	return err;
}

/* CS and SS are first: they make the stack on which a fault of the others is reported. */
static int load_segments(struct emul_ctx *c, const struct task *k)
{
	static const uint8_t order[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	int err = load_segment(c, k, SEG_LDTR);

	if (c->mode == EMUL_VM86)
		return err;
	for (unsigned i = 0; i < ARRAY_SIZE(order) && !err; i++)
		err = load_segment(c, k, order[i]);
	if (!err)
		c->mode = emul_mode_of(true, false, false, emul_segment(c, SEG_CS)->attr);
	return err;
}

static int push_error(struct emul_ctx *c, const struct task *k)
{
	unsigned size = k->next->size;
	uint64_t sp = c->gpr[GPR_RSP] - size;
	int err = emul_stack_write(c, sp, size, k->how->error);

	if (!err)
		emul_stack_set(c, sp);
	return err;
}

static int enter(struct emul_ctx *c, const struct task *k)
{
	int err;

	load_selectors(c, k);
	err = load_segments(c, k);
	if (!err && k->how->has_error)
		err = push_error(c, k);
	if (!err && c->rip > emul_segment(c, SEG_CS)->limit)
		err = emul_set_fault(c, X86_TRAP_GP, 0);
	return err;
}

/*
 * There is no way back, so what lost a race against another CPU is done again at once. One that
 * never lets us win has made the task a bad one.
 */
#define MAX_RACES 64

static int enter_at_last(struct emul_ctx *c, const struct task *k)
{
	for (unsigned i = 0; i < MAX_RACES; i++) {
		int err = enter(c, k);

		if (err != EMUL_AGAIN)
			return err;
	}
	return emul_selector_fault(c, X86_TRAP_TS, k->tr.selector);
}

static int raise_task_trap(struct emul_ctx *c)
{
	uint64_t dr6 = 0;
	int err = c->ops->dr_read(c, 6, &dr6);

	if (!err)
		err = c->ops->dr_write(c, 6, dr6 | DR6_BT);
	return err ? err : emul_set_fault(c, X86_TRAP_DB, 0);
}

static int switch_task(struct emul_ctx *c, struct task *k)
{
	int err = leave(c, k);

	if (err)
		return err;
	load_registers(c, k);
	err = enter_at_last(c, k);
	if (!err && k->next == &tss32 && (k->tss[TSS_TRAP] & 1))
		err = raise_task_trap(c);
	return err;
}

int emul_task_switch(struct emul_ctx *c, const struct emul_task_switch *t)
{
	struct task k = {.how = t};
	int err;

	c->trap = c->int_shadow = false;
	c->segs_dirty = 0;
	err = switch_task(c, &k);
	if (err == EMUL_FAULT && t->external && c->fault.vector >= X86_TRAP_TS &&
	    c->fault.vector <= X86_TRAP_GP)
		c->fault.error |= ERROR_EXT;
	return err;
}

/* --- by instructions ----------------------------------------------------------------- */

static int execute(struct emul_ctx *c, uint16_t selector, enum task_source source)
{
	struct emul_task_switch t = {.selector = selector, .source = source, .rip = c->next_rip};
	int err = emul_task_switch(c, &t);

	return err ? err : EMUL_SWITCHED;
}

int emul_task_far(struct emul_ctx *c, uint16_t selector, enum task_source source)
{
	unsigned rpl = selector & SELECTOR_RPL, dpl;
	struct descriptor d;
	struct segment s;
	bool gate;
	int err = emul_descriptor_read(c, selector, &d);

	if (err)
		return err;
	s = emul_descriptor_segment(&d, selector);
	dpl = FIELD_GET(SEG_ATTR_DPL, s.attr);
	gate = (s.attr & (SEG_ATTR_S | SEG_ATTR_TYPE)) == TYPE_TASK_GATE;
	if (c->lma || !(gate || is_tss(&s)))
		return EMUL_UNHANDLED;
	if (dpl < c->cpl || dpl < rpl)
		return emul_selector_fault(c, X86_TRAP_GP, selector);
	if (gate && !(s.attr & SEG_ATTR_P))
		return emul_selector_fault(c, X86_TRAP_NP, selector);
	return execute(c, gate ? (uint16_t)(d.low >> 16) : selector, source);
}

int emul_task_return(struct emul_ctx *c)
{
	uint16_t link = 0;
	int err = read_memory(c, emul_segment(c, SEG_TR)->base + TSS_LINK, (uint8_t *)&link, 2);

	return err ? err : execute(c, link, TASK_IRET);
}
