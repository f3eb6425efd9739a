/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction emulator: executes one guest instruction in software, for MMIO, for stores to
 * write-protected page tables, and where the CPU cannot run the guest's mode.
 *
 * It knows registers, segments and a mode, and reaches memory and ports through callbacks; it
 * knows no vCPU and no device. Every instruction goes the same way: decode, read, compute, and
 * only then commit. Whatever faults on the way leaves no trace, with three architectural
 * exceptions: a repeated string instruction commits each whole iteration, a descriptor keeps the
 * accessed or busy bit that a check of it has set, and a task switch may fault when it is done:
 * emul_task_switch().
 *
 * Real mode is there in full ("big" real mode included: segments keep limits and attributes); what
 * loads CS, the data segments, LDTR and TR in protected mode as well, so that the mode can be
 * switched; task switches, by instructions or from outside; and interrupts of every mode, with the
 * way back. What computes in the x87 and the vector registers is executed by the CPU, with a copy
 * of its operand (native.h). Not there, EMUL_UNHANDLED: far transfers through call gates or, but
 * for IRET, to another privilege level, INT n in virtual-8086 mode with CR4.VME, SYSCALL and
 * SYSENTER, gather and scatter. Debug registers are kept, and break where their owner says.
 *
 * Manuals: AMD APM volumes 1-3, Intel SDM volumes 1-2 (instruction reference, opcode maps).
 */
#ifndef VMM_EMULATE_EMULATE_H
#define VMM_EMULATE_EMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/fpu.h"
#include "arch/x86/insn_slot.h"
#include "arch/x86/virt.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "vmm/emulate/emul_insn.h"

enum emul_result {
	EMUL_OK,        /* done: registers, rip, rflags are those after the instruction */
	EMUL_FAULT,     /* inject ctx->fault; rip is that of the instruction, or of a new task */
	EMUL_AGAIN,     /* not finished, rip unchanged: look for interrupts, then run it again */
	EMUL_UNHANDLED, /* not an instruction of this emulator; insn.bytes are for the report */
};

enum emul_mode { EMUL_REAL, EMUL_VM86, EMUL_PROT16, EMUL_PROT32, EMUL_LONG64 };

/* What an access is for; the page walk must allow it. */
#define EMUL_ACC_WRITE  BIT(0) /* it writes, or it reads what the instruction is about to write */
#define EMUL_ACC_SYSTEM BIT(1) /* an implicit supervisor access whatever the CPL (tables, TSS) */
#define EMUL_ACC_PROBE  BIT(2) /* read() only: check the translation, move no data; buf is NULL */

enum emul_table { EMUL_GDT, EMUL_IDT };

struct emul_ctx;

/* An instruction that the CPU is to execute on the guest's x87 and vector registers. */
struct emul_native {
	uint8_t code[EMUL_MAX_INSN_LEN];
	uint8_t len;
	void *operand; /* its memory, for rDI; NULL: none */
	struct slot_regs regs;
	bool x87; /* it leaves pointers to itself and its operand, which are to be these: */
	struct fpu_pointers pointers;
	uint8_t pending; /* out, with x87: status word bits 5:0 of the exceptions not masked */
};

/*
 * How the emulator reaches the guest's world. Every function returns EMUL_OK; or EMUL_FAULT after
 * emul_set_fault() or emul_set_page_fault(); or another result, which ends the instruction
 * uncommitted and is what emul_run() then returns. No access crosses a 4 KiB page.
 */
struct emul_ops {
	/* Instruction bytes at a linear address, 1-15 bytes. */
	int (*fetch)(struct emul_ctx *c, gva_t gva, void *buf, unsigned len);
	/* Data at a linear address, 1-16 bytes. access: EMUL_ACC_*. */
	int (*read)(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access);
	int (*write)(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access);
	/*
	 * One atomic compare-and-exchange of 1, 2, 4, 8 or 16 bytes, naturally aligned or not.
	 * EMUL_AGAIN when memory does not hold `old`. Memory that is a device's may be written
	 * without the comparison.
	 */
	int (*cmpxchg)(struct emul_ctx *c, gva_t gva, const void *old, const void *val,
		       unsigned len, unsigned access);
	/* Ports, which the code may use. size: 1, 2, 4 bytes. */
	int (*pio_in)(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val);
	int (*pio_out)(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val);
	/*
	 * Asked after each iteration of a repeated string instruction: has the emulation taken so
	 * long that the rest is to wait? NULL: never.
	 */
	bool (*is_time_over)(struct emul_ctx *c);
	/* Fill in c->seg[seg]; called for a segment that is not in c->segs_known. */
	void (*get_segment)(struct emul_ctx *c, enum seg seg);

	/*
	 * For owners who let system instructions be emulated; the others leave all that follows
	 * NULL, and get EMUL_UNHANDLED for them. The emulator has checked the privilege.
	 */

	/* Is the guest's CPU an AMD one? Asked only where the vendors' CPUs differ. */
	bool (*is_amd)(struct emul_ctx *c);
	/* CR0, 2, 3, 4, 8; DR0-3, 6, 7. Writes check the value, and #GP is theirs to give. */
	int (*cr_read)(struct emul_ctx *c, unsigned cr, uint64_t *val);
	int (*cr_write)(struct emul_ctx *c, unsigned cr, uint64_t val);
	int (*dr_read)(struct emul_ctx *c, unsigned dr, uint64_t *val);
	int (*dr_write)(struct emul_ctx *c, unsigned dr, uint64_t val);
	void (*table_read)(struct emul_ctx *c, enum emul_table table, struct desc_table *t);
	void (*table_write)(struct emul_ctx *c, enum emul_table table, const struct desc_table *t);
	/* FNINIT, FNCLEX; FNSTCW, FNSTSW: *word is the result; FLDCW: the operand; FWAIT. */
	int (*fpu)(struct emul_ctx *c, uint16_t *word);
	/* Execute *n in the CPU. The vector of the exception that it raised, or 0: insn_slot_run().
	 */
	unsigned (*native)(struct emul_ctx *c, struct emul_native *n);
	/*
	 * An instruction whose whole effect is the owner's: c->insn.op is OP_HLT, CPUID, RDMSR,
	 * WRMSR, RDTSC, RDTSCP, RDPMC, INVD, WBINVD, INVLPG (at insn.mem), XSETBV, XGETBV,
	 * MONITOR, MWAIT, VMCALL or VMMCALL. It reads and writes c->gpr.
	 */
	int (*system)(struct emul_ctx *c);
};

struct emul_fault {
	uint8_t vector;
	bool has_error; /* never in real mode */
	uint32_t error;
	uint64_t cr2; /* #PF: the linear address */
};

/*
 * The caller embeds this in a struct of its own (container_of() in the callbacks), and fills in
 * the first part; nothing needs clearing between instructions.
 */
struct emul_ctx {
	const struct emul_ops *ops;
	uint64_t *gpr;      /* the vCPU's NR_GPRS registers; written at commit only */
	uint64_t rip;       /* in: of the instruction. out: of the next one, on EMUL_OK */
	uint64_t rflags;    /* in and out */
	uint8_t mode;       /* enum emul_mode */
	uint8_t cpl;        /* 0-3; 3 in VM86, 0 in real mode */
	uint8_t va_bits;    /* of a canonical address: 48, or 57 with CR4.LA57 */
	bool lma;           /* EFER.LMA: in long mode, be it compatibility mode */
	uint8_t segs_known; /* BIT(enum seg): members of seg[] that are filled in */
	uint8_t segs_dirty; /* out: BIT(enum seg): members of seg[] that were loaded, see EMUL_FAULT
			     */
	struct segment seg[NR_SEGS];

	/* Results. */
	struct emul_fault fault; /* on EMUL_FAULT */
	bool trap;       /* on EMUL_OK and EMUL_AGAIN: TF was set: inject the single-step #DB */
	bool int_shadow; /* on EMUL_OK: interrupts stay shut for one more instruction */

	struct emul_insn insn; /* insn.nr_bytes, insn.bytes: in, see emul_decode() */

	/* The emulator's own. */
	uint64_t next_rip;
	gva_t la; /* of the memory operand, once its segment is checked */
};

/* The mode: CR0.PE, RFLAGS.VM, EFER.LMA and the attributes of CS make it. */
static inline enum emul_mode emul_mode_of(bool pe, bool vm86, bool lma, uint16_t cs_attr)
{
	if (!pe)
		return EMUL_REAL;
	if (vm86)
		return EMUL_VM86;
	if (lma && (cs_attr & SEG_ATTR_L))
		return EMUL_LONG64;
	return cs_attr & SEG_ATTR_DB ? EMUL_PROT32 : EMUL_PROT16;
}

/*
 * Decode the instruction at c->rip into c->insn. The caller sets insn.nr_bytes to the number of
 * bytes at rip that it has already put into insn.bytes (what the CPU delivered with the exit), or
 * to 0; the rest is fetched as far as it is needed. Reads no register but rip and CS.
 * EMUL_OK, EMUL_FAULT (#UD, #GP over-long or past the CS limit, #PF of the fetch), EMUL_UNHANDLED.
 */
int emul_decode(struct emul_ctx *c);

/* Execute c->insn as emul_decode() left it. Any emul_result. */
int emul_execute(struct emul_ctx *c);

/* emul_decode() and emul_execute(): the whole instruction. */
int emul_run(struct emul_ctx *c);

/* An interrupt or exception on its way to its handler. */
struct emul_event {
	uint8_t vector;
	bool software;  /* INT n, INT3, INTO: the gate's DPL must allow it */
	bool has_error; /* push `error`; never in real mode */
	uint32_t error;
};

/*
 * Deliver an event at c->rip as the CPU does between two instructions, or for one that faults:
 * through the interrupt vector table of real mode, or through its gate (SDM volume 3, 20.1.4
 * and 6.12; APM volume 2, 8.6 to 8.9), which may be a task's. Needs the callbacks for system
 * instructions. EMUL_OK: rip, rflags, mode and cpl are the handler's, and segs_dirty has the
 * segments that were loaded. EMUL_FAULT: c->fault came up on the way, and nothing but that has
 * happened, as long as segs_dirty is 0; see emul_task_switch() for the rest. Other results: nothing
 * was delivered.
 */
int emul_deliver(struct emul_ctx *c, const struct emul_event *ev);

/* A task switch, as it is asked for. */
struct emul_task_switch {
	uint16_t selector; /* of the new TSS; source's own gate and its rights are checked */
	uint8_t source;    /* enum task_source */
	bool external;     /* TASK_GATE: for an exception, interrupt or NMI, not for INT n */
	bool has_error;    /* push `error` on the new task's stack */
	uint32_t error;
	uint64_t rip; /* where the old task goes on */
};

/*
 * Switch from the task at c->rip to another, as the CPU does in protected and virtual-8086 mode;
 * not with EFER.LMA (SDM volume 3, 7.3). Needs the callbacks for system instructions. EMUL_OK: rip,
 * rflags, gpr, mode, cpl and all of seg[], each in segs_dirty, are the new task's. EMUL_FAULT with
 * segs_dirty 0: in the old task, at c->rip as it was. EMUL_FAULT otherwise: in the new task, which
 * is complete but for the segments whose loads did not come to an end; an #DB is the trap that its
 * T flag asks for. EMUL_AGAIN: nothing has happened but the wait for another CPU.
 */
int emul_task_switch(struct emul_ctx *c, const struct emul_task_switch *t);

/* Does a second exception while the first is delivered make a double fault (SDM table 6-5)? */
bool emul_makes_double_fault(unsigned first, unsigned second);

/*
 * For exits whose length the CPU does not tell: decode, and the length in bytes when the
 * instruction is `op`; 0 when it is another, or cannot be decoded (somebody changed the code).
 */
unsigned emul_insn_len(struct emul_ctx *c, enum emul_op op);

/* For callbacks: record an exception, and return EMUL_FAULT. */
int emul_set_fault(struct emul_ctx *c, uint8_t vector, uint32_t error);
int emul_set_page_fault(struct emul_ctx *c, gva_t gva, uint32_t error);

#endif
