/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the emulator's files share: values and registers, segmentation and memory, and the
 * functions that execute a group of operations each. Private to vmm/emulate/.
 */
#ifndef VMM_EMULATE_INTERNAL_H
#define VMM_EMULATE_INTERNAL_H

#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "vmm/emulate/emulate.h"

/* --- values of 1, 2, 4 or 8 bytes ---------------------------------------------------- */

static inline uint64_t size_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

static inline uint64_t sign_extend(uint64_t val, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (uint64_t)((int64_t)(val << shift) >> shift);
}

static inline bool is_negative(uint64_t val, unsigned size)
{
	return (val >> (8 * size - 1)) & 1;
}

static inline bool is_canonical(const struct emul_ctx *c, uint64_t la)
{
	unsigned shift = 64 - c->va_bits;

	return (uint64_t)((int64_t)(la << shift) >> shift) == la;
}

static inline bool is_protected(const struct emul_ctx *c)
{
	return c->mode >= EMUL_PROT16;
}

/* --- registers ----------------------------------------------------------------------- */

/* reg: a number of struct emul_opnd, with EMUL_REG_HIGH. */
static inline uint64_t emul_reg_read(const struct emul_ctx *c, unsigned reg, unsigned size)
{
	if (unlikely(reg >= EMUL_REG_HIGH))
		return (c->gpr[reg - EMUL_REG_HIGH] >> 8) & 0xff;
	return c->gpr[reg] & size_mask(size);
}

/* 4 bytes clear the upper half; 1 and 2 leave the rest. */
static inline void emul_reg_write(struct emul_ctx *c, unsigned reg, unsigned size, uint64_t val)
{
	uint64_t mask = 0xff;

	if (likely(size >= 4)) {
		c->gpr[reg] = size == 4 ? (uint32_t)val : val;
		return;
	}
	if (size == 2) {
		mask = 0xffff;
	} else if (reg >= EMUL_REG_HIGH) {
		reg -= EMUL_REG_HIGH;
		mask = 0xff00;
		val <<= 8;
	}
	c->gpr[reg] = (c->gpr[reg] & ~mask) | (val & mask);
}

/* The segment register, asked of the caller if it is not there yet. */
static inline const struct segment *emul_segment(struct emul_ctx *c, enum seg seg)
{
	if (unlikely(!(c->segs_known & BIT(seg)))) {
		c->ops->get_segment(c, seg);
		c->segs_known |= BIT(seg);
	}
	return &c->seg[seg];
}

/* --- memory -------------------------------------------------------------------------- */

/* An address or a count, cut to the address size. */
static inline uint64_t cut_address(const struct emul_ctx *c, uint64_t ea)
{
	if (likely(c->insn.adsize == 8))
		return ea;
	return c->insn.adsize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

/* The effective address of insn.mem. */
static inline uint64_t emul_effective_address(const struct emul_ctx *c)
{
	const struct emul_mem *m = &c->insn.mem;
	uint64_t ea = m->disp;

	if (likely(m->base < NR_GPRS))
		ea += c->gpr[m->base];
	else if (m->base == EMUL_MEM_RIP)
		ea += c->next_rip;
	if (m->index != EMUL_MEM_NONE)
		ea += c->gpr[m->index] << m->scale;
	return cut_address(c, ea);
}

/* The rest of emul_linear(). */
int emul_linear_segmented(struct emul_ctx *c, enum seg seg, uint64_t ea, unsigned len,
			  unsigned access, gva_t *la);

/*
 * Segmentation: check an access of `len` bytes at seg:ea and give its linear address. `ea` is
 * already cut to the address size. #GP or #SS.
 */
static inline int emul_linear(struct emul_ctx *c, enum seg seg, uint64_t ea, unsigned len,
			      unsigned access, gva_t *la)
{
	*la = GVA(ea);
	if (likely(c->mode == EMUL_LONG64 && seg < SEG_FS && is_canonical(c, ea) &&
		   is_canonical(c, ea + len - 1)))
		return EMUL_OK;
	return emul_linear_segmented(c, seg, ea, len, access, la);
}

static inline bool crosses_page(gva_t la, unsigned len)
{
	return (la.v & ~PAGE_MASK) + len > PAGE_SIZE;
}

int emul_mem_read_split(struct emul_ctx *c, gva_t la, void *buf, unsigned len, unsigned access);
int emul_mem_write_split(struct emul_ctx *c, gva_t la, const void *buf, unsigned len);

/* 1-16 bytes at a linear address, across pages and around the top of the address space. */
static inline int emul_mem_read(struct emul_ctx *c, gva_t la, void *buf, unsigned len,
				unsigned access)
{
	if (unlikely(crosses_page(la, len)))
		return emul_mem_read_split(c, la, buf, len, access);
	return c->ops->read(c, la, buf, len, access);
}

static inline int emul_mem_write(struct emul_ctx *c, gva_t la, const void *buf, unsigned len)
{
	if (unlikely(crosses_page(la, len)))
		return emul_mem_write_split(c, la, buf, len);
	return c->ops->write(c, la, buf, len, EMUL_ACC_WRITE);
}

/* Check that [la, la + len) can be written, and move nothing. */
int emul_mem_probe_write(struct emul_ctx *c, gva_t la, unsigned len);

/* --- operands ------------------------------------------------------------------------ */

/*
 * Load operand `n`, zero-extended from its size (immediates: as decoded). EMUL_ACC_WRITE
 * announces an emul_update() of the same operand.
 */
int emul_load(struct emul_ctx *c, unsigned n, unsigned access, uint64_t *val);
/* Store operand `n`, which was not loaded before. */
int emul_store(struct emul_ctx *c, unsigned n, uint64_t val);
/* Store operand `n`, which held `old` when emul_load() took it; atomically with LOCK. */
int emul_update(struct emul_ctx *c, unsigned n, uint64_t old, uint64_t val);

/*
 * The same for `len` bytes at c->la, which emul_linear() gave. 16 bytes: `old` and `val` point
 * to as many. `locked`: with the cmpxchg callback.
 */
int emul_mem_update(struct emul_ctx *c, const void *old, const void *val, unsigned len,
		    bool locked);

/* Operand `n`, a far pointer in the instruction or in memory. */
int emul_far_pointer(struct emul_ctx *c, unsigned n, uint16_t *selector, uint64_t *offset);

/* --- segments and descriptors -------------------------------------------------------- */

#define SEG_TYPE_CODE        0x8
#define SEG_TYPE_CONFORMING  0x4 /* of a code segment */
#define SEG_TYPE_EXPAND_DOWN 0x4 /* of a data segment */
#define SEG_TYPE_RW          0x2 /* data: writable; code: readable */

/* Types of system descriptors: SDM volume 3, table 3-2. */
#define TYPE_TSS16     1
#define TYPE_LDT       2
#define TYPE_TASK_GATE 5
#define TYPE_TSS32     9 /* 64-bit in long mode */
#define TYPE_TSS_BUSY  2 /* this bit of a TSS's type */
#define TYPE_32BIT     8 /* this one, too */

#define SELECTOR_RPL 0x3
#define SELECTOR_TI  0x4

static inline bool is_null_selector(uint16_t selector)
{
	return (selector & ~SELECTOR_RPL) == 0;
}

/* A descriptor of the GDT or LDT, and where it lies. */
struct descriptor {
	uint64_t low, high; /* high: bits 127:64 of a system descriptor in long mode */
	gva_t at;
};

/* Read the descriptor of a selector that is not null. False in *found: beyond the table. */
int emul_descriptor_find(struct emul_ctx *c, uint16_t selector, struct descriptor *d, bool *found);
/* The same; beyond the table is #GP(selector). */
int emul_descriptor_read(struct emul_ctx *c, uint16_t selector, struct descriptor *d);
/* Set bits of the type, locked, if they are not set. EMUL_AGAIN: somebody else changes it. */
int emul_descriptor_set_type(struct emul_ctx *c, const struct descriptor *d, uint8_t bits);
/* What a segment register holds after it was loaded with this descriptor. */
struct segment emul_descriptor_segment(const struct descriptor *d, uint16_t selector);
/* An exception with the selector as its error code. */
int emul_selector_fault(struct emul_ctx *c, uint8_t vector, uint16_t selector);

/* What the segment register would hold after a load of `selector`; every check is made. */
int emul_segment_check(struct emul_ctx *c, enum seg seg, uint16_t selector, struct segment *s);
/* Real and virtual-8086 mode: the selector makes the base, the rest of the register stays. */
struct segment emul_segment_real(struct emul_ctx *c, enum seg seg, uint16_t selector);
/* What CS would hold after a load of `selector` with CPL as it is; every check is made. */
int emul_code_check(struct emul_ctx *c, uint16_t selector, struct segment *cs);
/* The same for c->insn. EMUL_UNHANDLED: a gate or a TSS, through which JMP and CALL may go. */
int emul_code_check_direct(struct emul_ctx *c, uint16_t selector, struct segment *cs);
/* What LDTR would hold after a load of `selector`. */
int emul_ldt_check(struct emul_ctx *c, uint16_t selector, struct segment *s);
/* Commit. */
void emul_segment_set(struct emul_ctx *c, enum seg seg, const struct segment *s);
/* What CS would hold after a far transfer at the same level; *offset is cut and checked. */
int emul_far_target(struct emul_ctx *c, uint16_t selector, uint64_t *offset, struct segment *cs);
/* Commit. */
void emul_far_commit(struct emul_ctx *c, const struct segment *cs, uint64_t offset);
/*
 * RETF and IRET: does the selector lead back to this level? To a lower one: EMUL_UNHANDLED. The
 * frame of that goes on at `sp`.
 */
int emul_return_level(struct emul_ctx *c, uint16_t selector, uint64_t sp);

/* --- task switches -------------------------------------------------------------------- */

/*
 * What an instruction's function returns when it has switched tasks: emul_execute()'s EMUL_OK, but
 * rip and rflags are complete.
 */
#define EMUL_SWITCHED (EMUL_UNHANDLED + 1)
/* What a repeated string instruction returns between two iterations: emul_execute()'s EMUL_AGAIN.
 */
#define EMUL_PAUSED (EMUL_UNHANDLED + 2)

/* CALL and JMP to a TSS or a task gate. EMUL_UNHANDLED: the selector's descriptor is neither. */
int emul_task_far(struct emul_ctx *c, uint16_t selector, enum task_source source);
/* IRET with NT: back to the task that the TSS links to. */
int emul_task_return(struct emul_ctx *c);

/* --- interrupts ----------------------------------------------------------------------- */

/* Of an error code. */
#define ERROR_EXT BIT(0) /* met while an event from outside the program was delivered */
#define ERROR_IDT BIT(1) /* the index is one of the IDT */

/*
 * Deliver an event through its gate, in any mode but real mode, to come back to `rip`. EMUL_OK: CS
 * is the handler's, and *target its first instruction; what c->rip is to be, the caller says.
 * EMUL_SWITCHED: a task gate.
 */
int emul_gate(struct emul_ctx *c, const struct emul_event *ev, uint64_t rip, uint64_t *target);

/* --- stack and branches -------------------------------------------------------------- */

/* Write or read a value at `sp`, cut to the stack's address size; rSP stays. */
int emul_stack_write(struct emul_ctx *c, uint64_t sp, unsigned size, uint64_t val);
int emul_stack_read(struct emul_ctx *c, uint64_t sp, unsigned size, uint64_t *val);
/* Read a selector from its slot of the operand size. Only for owners of system instructions. */
int emul_stack_read_selector(struct emul_ctx *c, uint64_t sp, uint16_t *selector);
/* Move rSP, or its lower part if that is the stack pointer. */
void emul_stack_set(struct emul_ctx *c, uint64_t sp);
/* Push a value of the operand size. */
int emul_push(struct emul_ctx *c, uint64_t val);
/* The faults of emul_push(), and nothing else. */
int emul_push_probe(struct emul_ctx *c);
/* Cut a branch target to the operand size, and check it: 64-bit code, or the segment's limit. */
int emul_check_target(struct emul_ctx *c, bool long64, uint32_t limit, uint64_t *target);
/* The flags that POPF and IRET of `size` bytes may change here. */
uint64_t emul_writable_flags(const struct emul_ctx *c, unsigned size);

/* Condition `opcode & 15` of Jcc, SETcc, CMOVcc. */
bool emul_condition(uint64_t rflags, unsigned cc);

/* --- execution: one function for a group of operations that share their shape -------- */

typedef int emul_exec_fn(struct emul_ctx *c);

emul_exec_fn emul_exec_alu, emul_exec_shift, emul_exec_shift_double, emul_exec_unary, emul_exec_mul,
	emul_exec_imul3, emul_exec_div, emul_exec_cbw, emul_exec_cwd, emul_exec_bcd,
	emul_exec_bit_test, emul_exec_bit_scan, emul_exec_bswap, emul_exec_mov, emul_exec_lea,
	emul_exec_extend, emul_exec_movbe, emul_exec_xlat, emul_exec_mov_from_seg, emul_exec_xchg,
	emul_exec_xadd, emul_exec_cmpxchg, emul_exec_cmpxchg8b, emul_exec_setcc, emul_exec_cmovcc,
	emul_exec_flag, emul_exec_sti_cli, emul_exec_lahf, emul_exec_sahf, emul_exec_salc,
	emul_exec_nop, emul_exec_pause, emul_exec_ud, emul_exec_bound, emul_exec_string,
	emul_exec_in, emul_exec_out, emul_exec_push, emul_exec_pop, emul_exec_pusha, emul_exec_popa,
	emul_exec_pushf, emul_exec_popf, emul_exec_push_seg, emul_exec_enter, emul_exec_leave,
	emul_exec_call, emul_exec_jmp, emul_exec_jcc, emul_exec_ret, emul_exec_loop;

emul_exec_fn emul_exec_mov_seg, emul_exec_pop_seg, emul_exec_load_far, emul_exec_lldt,
	emul_exec_ltr, emul_exec_store_selector, emul_exec_jmpf, emul_exec_callf, emul_exec_retf,
	emul_exec_int, emul_exec_iret, emul_exec_mov_from_cr, emul_exec_mov_to_cr, emul_exec_clts,
	emul_exec_lmsw, emul_exec_smsw, emul_exec_mov_from_dr, emul_exec_mov_to_dr,
	emul_exec_store_table, emul_exec_load_table, emul_exec_verify, emul_exec_lar, emul_exec_lsl,
	emul_exec_arpl, emul_exec_system, emul_exec_privileged, emul_exec_fpu, emul_exec_native,
	emul_exec_clflush, emul_exec_clzero;

#endif
