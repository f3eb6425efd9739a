/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator's context together with the vCPU that it works on: what vmm/exit/insn.c (one
 * instruction), vmm/exit/realmode.c (many) and vmm/exit/insn_callbacks.c (the callbacks for system
 * instructions) share.
 */
#ifndef VMM_EXIT_INSN_CTX_H
#define VMM_EXIT_INSN_CTX_H

#include "lib/clock.h"
#include "vmm/emulate/emulate.h"
#include "vmm/vm.h"

/*
 * An instruction in the emulator, or a batch of them, is interrupted after so much time, at the
 * next place where that is possible: behind an instruction, or behind an iteration of a repeated
 * one. Then the CPU takes its interrupts, and ends the time slice if it is over. It is a time and
 * no number, because what a device does for one access may take a thousand times as long as a
 * copied byte.
 */
#define INSN_TIME_NS (50 * NSEC_PER_USEC)

/* The clock is looked at after so many instructions or iterations, and after each that used a
 * device. */
#define INSN_CLOCK_STEPS 8

struct insn_ctx {
	struct emul_ctx ctx;
	struct vcpu *v;
	bool paging_current; /* v->paging was brought up to date for this instruction */
	bool mode_changed;   /* the instruction wrote what makes the mode: insn_update_mode() */
	bool halt;           /* ... it was HLT, to be acted on once it is committed */
	bool device;         /* `fault_gpa` is not RAM */
	bool used_device;    /* since the last look at the clock ... */
	uint8_t steps;       /* ... and so many instructions or iterations */
	uint8_t prev_op;     /* insn_is_breakpoint(): the instruction before, if it was emulated */
	uint8_t hits;      /* breakpoints that the instruction or iteration has hit: DR6's B0-B3 */
	uint64_t until_ns; /* clock_ns() time; 0: nobody has looked at the clock yet */
	uint32_t fault_error; /* PFERR_* of the exit; 0: nothing is known */
	gpa_t fault_gpa;
	struct virt_insn_state state; /* as the instruction found it */
};

static inline struct insn_ctx *insn_ctx_of(struct emul_ctx *c)
{
	return container_of(c, struct insn_ctx, ctx);
}

/* Take the vCPU's registers over into the context. Owner CPU, as for all here. */
void insn_begin(struct insn_ctx *ic, struct vcpu *v);

/* Compute the mode anew, after CR0, EFER or CS was written to the vCPU. */
void insn_update_mode(struct insn_ctx *ic);

/*
 * Decode the instruction at RIP into ctx.insn, or find it decoded. The vCPU has the context's rip,
 * mode and CS. Any emul_result.
 */
int insn_decode(struct insn_ctx *ic);

/*
 * Give rip, flags, interrupt shadow and the segments of `segs` (BIT(enum seg)) back to the vCPU.
 * The general registers are never copied: the emulator works on the vCPU's.
 */
void insn_commit(struct insn_ctx *ic, unsigned segs);

/*
 * Do all that follows from the result of an instruction or of a task switch. False: the result was
 * EMUL_UNHANDLED, and nothing has happened.
 */
bool insn_finish(struct insn_ctx *ic, int result);

/* Behind an instruction or iteration: queue the traps that it raises, if there are any. */
void insn_raise_traps(struct insn_ctx *ic);

/*
 * Before an instruction that no CPU has looked at, when DR7 has breakpoints: is one on it? Then its
 * #DB is queued.
 */
bool insn_is_breakpoint(struct insn_ctx *ic);

/* Queue the exception that an instruction ended with. */
void insn_inject(struct vcpu *v, const struct emul_fault *f);

/* An instruction, or an iteration of one, is done: has all this taken INSN_TIME_NS? */
bool insn_is_time_over(struct insn_ctx *ic);

/* The same, by a look at the clock; the first look, if there was none, starts the time. */
bool insn_look_at_clock(struct insn_ctx *ic);

/* Linear to guest-physical, with the rights that PFERR_* and WALK_* of `access` need; or a #PF. */
int insn_walk(struct emul_ctx *c, gva_t gva, uint32_t access, gpa_t *gpa);

/* The same, with the trail of the walk. */
int insn_walk_trail(struct emul_ctx *c, gva_t gva, uint32_t access, struct walk_result *walk);

/* The callbacks for code (vmm/exit/insn_code.c) and for operands (vmm/exit/insn_memory.c). */
int insn_fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len);
int insn_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access);
int insn_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access);
int insn_cmpxchg(struct emul_ctx *c, gva_t gva, const void *old, const void *val, unsigned len,
		 unsigned access);
int insn_pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val);
int insn_pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val);

/* The callbacks for system instructions (vmm/exit/insn_callbacks.c). */
bool insn_is_amd(struct emul_ctx *c);
int insn_cr_read(struct emul_ctx *c, unsigned cr, uint64_t *val);
int insn_cr_write(struct emul_ctx *c, unsigned cr, uint64_t val);
int insn_dr_read(struct emul_ctx *c, unsigned dr, uint64_t *val);
int insn_dr_write(struct emul_ctx *c, unsigned dr, uint64_t val);
void insn_table_read(struct emul_ctx *c, enum emul_table table, struct desc_table *t);
void insn_table_write(struct emul_ctx *c, enum emul_table table, const struct desc_table *t);
int insn_fpu(struct emul_ctx *c, uint16_t *word);
unsigned insn_native(struct emul_ctx *c, struct emul_native *n);
int insn_system(struct emul_ctx *c);

#endif
