/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and exceptions of protected, virtual-8086 and long mode, through the gates of the IDT:
 * of an instruction, or of an event that the CPU could not deliver itself, because a table or the
 * stack is where it cannot write (SDM volume 3, 6.11 to 6.14, and volume 2, "INT n"; APM volume 2,
 * 8.7 to 8.9).
 *
 * The handler's stack is that of a segment, of a privilege level and perhaps of another mode, and
 * is written before anything is committed: for as long as that takes, the context has the
 * handler's.
 */
#include "vmm/emulate/internal.h"

#define TYPE_INTERRUPT_GATE 6 /* of 16 bits; TYPE_32BIT: of 32, or 64 in long mode */
#define TYPE_TRAP           1 /* this bit of such a gate's type: IF stays as it is */

/* Where a TSS has its stacks (SDM volume 3, figures 7-2, 7-10 and 7-11). */
#define TSS16_STACKS 2
#define TSS_STACKS   4
#define TSS64_ISTS   0x24

#define MAX_FRAME 10 /* GS, FS, DS, ES, SS, rSP, rFLAGS, CS, rIP, error code */

/* A delivery under way. */
struct delivery {
	const struct emul_event *event;
	uint64_t rip; /* to come back to */
	uint16_t selector;
	uint8_t type; /* of the gate: TYPE_* */
	uint8_t ist;  /* long mode: which stack, or 0 */
	uint64_t offset;
	bool inner; /* to another level, and so on another stack */
	struct segment cs, ss;
	uint64_t sp, end; /* of the handler's stack, before the frame is pushed and behind that */
	uint8_t cpl, mode;
};

static unsigned ext(const struct delivery *d)
{
	return d->event->software ? 0 : ERROR_EXT;
}

/* Has an instruction come to its end with this? */
static bool is_instruction(const struct emul_ctx *c, const struct delivery *d)
{
	return d->rip != c->rip;
}

static int selector_fault(struct emul_ctx *c, const struct delivery *d, uint8_t vector,
			  uint16_t selector)
{
	return emul_set_fault(c, vector, (selector & ~SELECTOR_RPL) | ext(d));
}

/* A table's address: 32 bits wide outside of long mode. */
static gva_t table_address(const struct emul_ctx *c, uint64_t la)
{
	return GVA(c->lma ? la : (uint32_t)la);
}

/* --- the gate ------------------------------------------------------------------------ */

static int gate_fault(struct emul_ctx *c, const struct delivery *d, uint8_t vector)
{
	return emul_set_fault(c, vector, d->event->vector * 8u | ERROR_IDT | ext(d));
}

static bool is_gate(const struct emul_ctx *c, unsigned type)
{
	unsigned plain = type & ~TYPE_TRAP;

	if (plain == (TYPE_INTERRUPT_GATE | TYPE_32BIT))
		return true;
	return !c->lma && (plain == TYPE_INTERRUPT_GATE || type == TYPE_TASK_GATE);
}

static int read_gate(struct emul_ctx *c, struct delivery *d)
{
	unsigned size = c->lma ? 16 : 8, at = d->event->vector * size, attr;
	uint64_t gate[2] = {0, 0};
	struct desc_table idt;
	int err;

	c->ops->table_read(c, EMUL_IDT, &idt);
	if (at + size - 1 > idt.limit)
		return gate_fault(c, d, X86_TRAP_GP);
	err = emul_mem_read(c, table_address(c, idt.base + at), gate, size, EMUL_ACC_SYSTEM);
	if (err)
		return err;
	attr = (gate[0] >> 40) & 0xff;
	if (!is_gate(c, attr & (SEG_ATTR_S | SEG_ATTR_TYPE)))
		return gate_fault(c, d, X86_TRAP_GP);
	if (d->event->software && FIELD_GET(SEG_ATTR_DPL, attr) < c->cpl)
		return gate_fault(c, d, X86_TRAP_GP);
	if (!(attr & SEG_ATTR_P))
		return gate_fault(c, d, X86_TRAP_NP);
	d->type = attr & SEG_ATTR_TYPE;
	d->selector = (uint16_t)(gate[0] >> 16);
	d->ist = c->lma ? (gate[0] >> 32) & 7 : 0;
	d->offset = (gate[0] & 0xffff) | gate[1] << 32;
	if (d->type & TYPE_32BIT)
		d->offset |= (gate[0] >> 32) & 0xffff0000;
	return EMUL_OK;
}

/* --- the handler's code -------------------------------------------------------------- */

static bool is_handler(const struct emul_ctx *c, const struct segment *cs)
{
	if ((cs->attr & (SEG_ATTR_S | SEG_TYPE_CODE)) != (SEG_ATTR_S | SEG_TYPE_CODE))
		return false;
	if (c->lma && (cs->attr & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
		return false;
	return FIELD_GET(SEG_ATTR_DPL, cs->attr) <= c->cpl;
}

/* A handler of virtual-8086 code is at level 0, and has a stack of its own. */
static bool is_reachable(const struct emul_ctx *c, const struct segment *cs)
{
	bool conforming = cs->attr & SEG_TYPE_CONFORMING;

	return c->mode != EMUL_VM86 || (!conforming && !(cs->attr & SEG_ATTR_DPL));
}

static int find_code(struct emul_ctx *c, struct delivery *d)
{
	struct descriptor desc;
	bool found = false;
	int err = EMUL_OK;

	if (is_null_selector(d->selector))
		return selector_fault(c, d, X86_TRAP_GP, 0);
	err = emul_descriptor_find(c, d->selector, &desc, &found);
	if (err)
		return err;
	if (found)
		d->cs = emul_descriptor_segment(&desc, d->selector);
	if (!found || !is_handler(c, &d->cs) || !is_reachable(c, &d->cs))
		return selector_fault(c, d, X86_TRAP_GP, d->selector);
	if (!(d->cs.attr & SEG_ATTR_P))
		return selector_fault(c, d, X86_TRAP_NP, d->selector);
	d->cpl = d->cs.attr & SEG_TYPE_CONFORMING ? c->cpl : FIELD_GET(SEG_ATTR_DPL, d->cs.attr);
	d->inner = d->cpl != c->cpl;
	d->mode = emul_mode_of(true, false, c->lma, d->cs.attr);
	d->cs.selector = (d->selector & ~SELECTOR_RPL) | d->cpl;
	d->cs.attr |= 1;
	return emul_descriptor_set_type(c, &desc, 1);
}

/* --- the handler's stack ------------------------------------------------------------- */

static int read_tss(struct emul_ctx *c, const struct delivery *d, unsigned at, void *buf,
		    unsigned len)
{
	const struct segment *tr = emul_segment(c, SEG_TR);

	if (at + len - 1 > tr->limit)
		return selector_fault(c, d, X86_TRAP_TS, tr->selector);
	return emul_mem_read(c, table_address(c, tr->base + at), buf, len, EMUL_ACC_SYSTEM);
}

static bool is_stack(const struct delivery *d, const struct segment *ss)
{
	unsigned type = ss->attr & (SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_RW);

	return type == (SEG_ATTR_S | SEG_TYPE_RW) && (ss->selector & SELECTOR_RPL) == d->cpl &&
	       FIELD_GET(SEG_ATTR_DPL, ss->attr) == d->cpl;
}

static int load_stack_segment(struct emul_ctx *c, struct delivery *d, uint16_t selector)
{
	struct descriptor desc;
	bool found;
	int err;

	if (is_null_selector(selector))
		return selector_fault(c, d, X86_TRAP_TS, 0);
	err = emul_descriptor_find(c, selector, &desc, &found);
	if (err)
		return err;
	if (found)
		d->ss = emul_descriptor_segment(&desc, selector);
	if (!found || !is_stack(d, &d->ss))
		return selector_fault(c, d, X86_TRAP_TS, selector);
	if (!(d->ss.attr & SEG_ATTR_P))
		return selector_fault(c, d, X86_TRAP_SS, selector);
	d->ss.attr |= 1;
	return emul_descriptor_set_type(c, &desc, 1);
}

/* The stack of an inner level; the limit is checked for the pointer and the selector at once. */
static int find_inner_stack(struct emul_ctx *c, struct delivery *d)
{
	bool wide = emul_segment(c, SEG_TR)->attr & TYPE_32BIT;
	uint8_t stack[6] = {0};
	uint16_t selector = 0;
	int err = wide ? read_tss(c, d, TSS_STACKS + 8u * d->cpl, stack, 6)
		       : read_tss(c, d, TSS16_STACKS + 4u * d->cpl, stack, 4);

	if (err)
		return err;
	__builtin_memcpy(&d->sp, stack, wide ? 4 : 2);
	__builtin_memcpy(&selector, stack + (wide ? 4 : 2), 2);
	return load_stack_segment(c, d, selector);
}

/* In long mode SS of an inner level is null; the frame begins at a multiple of 16. */
static int find_stack_of_long_mode(struct emul_ctx *c, struct delivery *d)
{
	unsigned at = d->ist ? TSS64_ISTS + 8u * (d->ist - 1u) : TSS_STACKS + 8u * d->cpl;
	int err = EMUL_OK;

	if (d->inner)
		d->ss = (struct segment){.selector = d->cpl,
					 .attr = SEG_ATTR_UNUSABLE |
						 (uint16_t)FIELD_PREP(SEG_ATTR_DPL, d->cpl)};
	if (d->inner || d->ist)
		err = read_tss(c, d, at, &d->sp, 8);
	if (!err && !is_canonical(c, d->sp))
		err = emul_set_fault(c, X86_TRAP_SS, ext(d));
	d->sp &= ~15ull;
	return err;
}

static int find_stack(struct emul_ctx *c, struct delivery *d)
{
	d->sp = c->gpr[GPR_RSP];
	d->ss = *emul_segment(c, SEG_SS);
	if (c->lma)
		return find_stack_of_long_mode(c, d);
	return d->inner ? find_inner_stack(c, d) : EMUL_OK;
}

/* --- the frame ----------------------------------------------------------------------- */

static unsigned fill_frame(struct emul_ctx *c, const struct delivery *d, uint64_t frame[MAX_FRAME])
{
	static const uint8_t of_vm86[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
	unsigned n = 0;

	if (c->mode == EMUL_VM86) {
		for (unsigned i = 0; i < ARRAY_SIZE(of_vm86); i++)
			frame[n++] = emul_segment(c, of_vm86[i])->selector;
	}
	if (d->inner || c->lma) {
		frame[n++] = emul_segment(c, SEG_SS)->selector;
		frame[n++] = c->gpr[GPR_RSP];
	}
	frame[n++] = is_instruction(c, d) ? c->rflags & ~RFLAGS_RF : c->rflags;
	frame[n++] = emul_segment(c, SEG_CS)->selector;
	frame[n++] = d->rip;
	if (d->event->has_error)
		frame[n++] = d->event->error;
	return n;
}

static unsigned frame_size(const struct emul_ctx *c, const struct delivery *d)
{
	if (c->lma)
		return 8;
	return d->type & TYPE_32BIT ? 4 : 2;
}

static int write_frame(struct emul_ctx *c, struct delivery *d, const uint64_t *frame, unsigned n,
		       unsigned size)
{
	int err = EMUL_OK;

	d->end = d->sp;
	for (unsigned i = 0; i < n && !err; i++) {
		d->end -= size;
		err = emul_stack_write(c, d->end, size, frame[i]);
	}
	if (err == EMUL_FAULT && c->fault.vector == X86_TRAP_SS)
		c->fault.error = ext(d) | (d->inner ? d->ss.selector & ~SELECTOR_RPL : 0);
	return err;
}

static int push_frame(struct emul_ctx *c, struct delivery *d)
{
	uint64_t frame[MAX_FRAME];
	unsigned n = fill_frame(c, d, frame), size = frame_size(c, d);
	struct segment ss = c->seg[SEG_SS];
	uint8_t mode = c->mode, cpl = c->cpl;
	int err;

	c->mode = d->mode;
	c->cpl = d->cpl;
	c->seg[SEG_SS] = d->ss;
	err = write_frame(c, d, frame, n, size);
	c->mode = mode;
	c->cpl = cpl;
	c->seg[SEG_SS] = ss;
	return err;
}

/* --- all of it ----------------------------------------------------------------------- */

static int check_offset(struct emul_ctx *c, const struct delivery *d)
{
	bool ok = c->lma ? is_canonical(c, d->offset) : d->offset <= d->cs.limit;

	return ok ? EMUL_OK : emul_set_fault(c, X86_TRAP_GP, ext(d));
}

/* What a handler of virtual-8086 code finds in the data segments. */
static void clear_data_segments(struct emul_ctx *c)
{
	static const uint8_t segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	struct segment null = {.attr = SEG_ATTR_UNUSABLE};

	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
		emul_segment_set(c, segs[i], &null);
}

static void enter_handler(struct emul_ctx *c, const struct delivery *d)
{
	if (c->mode == EMUL_VM86)
		clear_data_segments(c);
	c->mode = d->mode;
	c->cpl = d->cpl;
	if (d->inner) {
		emul_segment_set(c, SEG_SS, &d->ss);
		c->gpr[GPR_RSP] = d->sp;
	}
	emul_stack_set(c, d->end);
	emul_segment_set(c, SEG_CS, &d->cs);
	c->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if (!(d->type & TYPE_TRAP))
		c->rflags &= ~RFLAGS_IF;
}

static int enter_task(struct emul_ctx *c, const struct delivery *d)
{
	struct emul_task_switch t = {
		.selector = d->selector,
		.source = TASK_GATE,
		.external = !is_instruction(c, d),
		.has_error = d->event->has_error,
		.error = d->event->error,
		.rip = d->rip,
	};
	int err = emul_task_switch(c, &t);

	return err ? err : EMUL_SWITCHED;
}

int emul_gate(struct emul_ctx *c, const struct emul_event *ev, uint64_t rip, uint64_t *target)
{
	struct delivery d = {.event = ev, .rip = rip};
	int err = read_gate(c, &d);

	if (err)
		return err;
	if (d.type == TYPE_TASK_GATE)
		return enter_task(c, &d);
	err = find_code(c, &d);
	if (!err)
		err = find_stack(c, &d);
	if (!err)
		err = push_frame(c, &d);
	if (!err)
		err = check_offset(c, &d);
	if (err)
		return err;
	enter_handler(c, &d);
	*target = d.offset;
	return EMUL_OK;
}
