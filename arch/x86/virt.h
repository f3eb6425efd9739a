/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam between vmm/ and the two vendor back ends (svm/, vmx/): the whole contract. Above it
 * only the two copies of the run loop (vmm/exit/loop_svm.c, loop_vmx.c), and what picks one
 * (loop.c), know a vendor's name (tests/lint/vendors); below it nothing knows a policy. Both back
 * ends fill the same exit record, so each exit is handled once.
 *
 * Calls are direct: virt_*() picks the vendor with one predictable branch, no pointers.
 */
#ifndef ARCH_X86_VIRT_H
#define ARCH_X86_VIRT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/regs.h" /* PFERR_* */
#include "arch/x86/svm/vcpu_state.h"
#include "arch/x86/virt_paging.h"
#include "arch/x86/vmx/vcpu_state.h"
#include "lib/types.h"

/* General registers in the order of their encoding, so that a ModRM field is an index. */
enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	NR_GPRS,
};

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, NR_SEGS };

/* A segment register with its hidden part. */
struct segment {
	uint64_t base;
	uint32_t limit; /* bytes - 1, granularity applied */
	uint16_t selector;
	uint16_t attr; /* SEG_ATTR_*: descriptor bits 55:52 and 47:40 as in SVM's VMCB */
};

#define SEG_ATTR_TYPE     0x00f
#define SEG_ATTR_S        0x010
#define SEG_ATTR_DPL      0x060
#define SEG_ATTR_P        0x080
#define SEG_ATTR_AVL      0x100
#define SEG_ATTR_L        0x200
#define SEG_ATTR_DB       0x400
#define SEG_ATTR_G        0x800
#define SEG_ATTR_UNUSABLE 0x1000 /* loaded with a null selector */

struct desc_table {
	uint64_t base;
	uint16_t limit;
};

/*
 * Registers that are neither general nor segments, as the guest has them. What the hardware runs
 * with may differ in CR0, CR3, CR4, EFER (virt_set_paging()) and, without nested paging, in PAT.
 */
enum vreg {
	VREG_CR0,
	VREG_CR2,
	VREG_CR3,
	VREG_CR4,
	VREG_EFER,
	VREG_DR6,
	VREG_DR7,
	VREG_PAT,
	VREG_STAR,
	VREG_LSTAR,
	VREG_CSTAR,
	VREG_SFMASK,
	VREG_KERNEL_GS_BASE,
	VREG_SYSENTER_CS,
	VREG_SYSENTER_ESP,
	VREG_SYSENTER_EIP,
	VREG_FS_BASE,
	VREG_GS_BASE,
	VREG_DEBUGCTL,
	NR_VREGS,
};

enum exit_reason {
	EXIT_NONE,          /* none of them: an empty entry of the vendors' tables */
	EXIT_UNKNOWN,       /* virt_exit_code() has the vendor's number */
	EXIT_INTERRUPT,     /* a host interrupt, not yet taken */
	EXIT_NMI,           /* a host NMI */
	EXIT_MACHINE_CHECK, /* the host's, taken, and no harm done (arch/x86/mce.h) */
	EXIT_IRQ_WINDOW,    /* the guest can take the interrupt that waits */
	EXIT_NMI_WINDOW,
	EXIT_HLT,
	EXIT_CPUID,
	EXIT_HYPERCALL, /* VMCALL / VMMCALL */
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_IO,           /* IN, OUT, INS, OUTS */
	EXIT_MEMORY_FAULT, /* NPT or EPT violation; EPT misconfiguration */
	EXIT_CR_READ,
	EXIT_CR_WRITE, /* MOV to CR, CLTS, LMSW: `cr.*` says which value is meant */
	EXIT_DR_ACCESS,
	EXIT_EXCEPTION,  /* but for page faults */
	EXIT_PAGE_FAULT, /* of the tables that the hardware runs with */
	EXIT_INVLPG,
	EXIT_INVPCID,
	EXIT_RDTSC,
	EXIT_RDPMC,
	EXIT_WBINVD,
	EXIT_XSETBV,
	EXIT_PAUSE,
	EXIT_MONITOR,
	EXIT_MWAIT,
	EXIT_TASK_SWITCH,
	EXIT_VIRT_INSN,     /* VMX/SVM instructions of the guest */
	EXIT_PREEMPTION,    /* time slice over (VMX preemption timer) */
	EXIT_LOG_FULL,      /* no room for the page that it is about to write: virt_take_log() */
	EXIT_SHUTDOWN,      /* triple fault */
	EXIT_INVALID_STATE, /* the CPU refused the guest state */
	NR_EXIT_REASONS,
};

/* What asks for a task switch: an instruction, or an event whose IDT entry is a task gate. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

/* Flags of a port access, where VMX has them; the other bits have no meaning. */
#define IO_IN     (1u << 3)
#define IO_STRING (1u << 4)

struct vm_exit {
	enum exit_reason reason;
	union {
		struct {
			union {
				gpa_t gpa; /* EXIT_MEMORY_FAULT */
				gva_t gva; /* EXIT_PAGE_FAULT; CR2 is as it was */
			};
			uint32_t error;   /* PFERR_* */
			uint8_t insn[15]; /* instruction bytes if the CPU gives them */
			uint8_t insn_bytes;
		} fault;
		struct {
			uint16_t port;
			uint8_t size;  /* 1, 2, 4 */
			uint8_t flags; /* IO_* */
			uint8_t len;   /* of the instruction */
		} io;
		struct {
			uint8_t cr; /* 0, 2, 3, 4, 8 */
			bool known; /* gpr is known: a MOV; else decode the instruction */
			uint8_t gpr;
		} cr;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
		} exception;
		struct {
			gva_t gva;
			bool known; /* else decode the instruction */
		} invlpg;
		struct {
			gva_t gva;     /* of the descriptor */
			uint64_t type; /* the register operand */
			bool known;    /* both are; else decode the instruction */
		} invpcid;
		struct {
			uint16_t selector; /* of the new task's TSS */
			uint8_t source;    /* enum task_source; TASK_GATE: for idt_event */
		} task;
	};
};

/* An event to inject, or one whose delivery an exit interrupted. */
enum event_type { EVENT_NONE, EVENT_INTR, EVENT_NMI, EVENT_EXCEPTION, EVENT_SOFT_INT };

struct vm_event_info {
	enum event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint8_t insn_len; /* EVENT_SOFT_INT: length of the instruction */
};

/* What the vendor's CPU can do, as far as policy above the seam depends on it. Constant after
 * probe. */
struct virt_caps {
	const char *name;       /* "SVM" or "VMX" */
	bool tdp;               /* two-dimensional paging ... */
	bool ept;               /* ... in EPT's entry format, else in NPT's */
	bool tdp_has_1g;        /* its 1G pages */
	bool tdp_has_ad;        /* its accessed and dirty bits */
	bool tdp_has_exec_only; /* its pages that can be executed and not read */
	bool tdp_logs_writes;   /* its log of pages that were written: virt_log_writes() */
	bool unrestricted;      /* virt_is_unrestricted() with nested paging */
	bool nmi_window_early;  /* EXIT_NMI_WINDOW comes before the IRET that opens it */
	bool preemption_timer;  /* virt_preempt_at() works */
	bool xsaves;            /* guests may use XSAVES */
	bool invpcid;           /* ... INVPCID */
	bool rdtscp;            /* ... RDTSCP */
	bool lax;      /* illegal control-register and MSR values do not fault: an emulator */
	unsigned tags; /* ASIDs or VPIDs, including the host's; 1: every entry flushes */
};

/*
 * A vCPU as the vendor sees it, embedded in struct vcpu. Owned by the physical CPU that runs the
 * vCPU. Between two runs gpr[] and rip hold the guest's registers; changes made there are what the
 * guest resumes with.
 */
struct virt_vcpu {
	uint64_t gpr[NR_GPRS];
	uint64_t rip;
	uint64_t host_rsp; /* VMX: as the VMCS has it; vmx/entry.S knows where this is */
	void *control;     /* VIRT_VCPU_PAGES: VMCB; or VMCS and what it points to */
	hpa_t control_pa;
	uint64_t tag_generation; /* of the tag; not this CPU's present one: it is void */
	uint64_t spec_ctrl;      /* the guest's: virt_set_spec_ctrl() */
	uint32_t due;            /* what the next entry has to do first, in the vendor's bits */
	bool nested;             /* const; two-dimensional paging, else shadow paging */
	struct vm_event_info
		idt_event; /* after a run: an event whose delivery the exit cut short */
	union {
		struct svm_vcpu svm;
		struct vmx_vcpu vmx;
	};
};

extern struct virt_caps virt_caps;
extern bool virt_is_vmx; /* constant after virt_probe() */

/*
 * Where CPUs that have nested paging and cannot run a guest without paging (virt_caps.unrestricted)
 * find, in its memory, the page directory of 4M pages that maps each address to itself.
 */
#define VIRT_IDENTITY_GPA 0xfeffc000u
void virt_fill_identity_map(uint32_t table[1024]);

#define VIRT_CPU_PAGES  2
#define VIRT_VCPU_ORDER 2 /* log2 of VIRT_VCPU_PAGES */
#define VIRT_VCPU_PAGES (1u << VIRT_VCPU_ORDER)

/*
 * Pick the vendor of this machine and fill virt_caps, once, before any other call, on a machine
 * where preflight_verdict() has found none. 0; or -ENODEV: the CPU lacks what no guest can do
 * without (logged).
 */
int virt_probe(void);

/*
 * Each operation is declared for both vendors and dispatched here. A file that is compiled for one
 * vendor defines VIRT_CALL itself; tests define their own VIRT_OP.
 */
#ifndef VIRT_CALL
#define VIRT_CALL(name, args) (virt_is_vmx ? vmx_##name args : svm_##name args)
#endif
#ifndef VIRT_OP
#define VIRT_OP(ret, name, params, args)                                                           \
	ret svm_##name params;                                                                     \
	ret vmx_##name params;                                                                     \
	static inline ret virt_##name params                                                       \
	{                                                                                          \
		return VIRT_CALL(name, args);                                                      \
	}
#endif

/* Look at the CPU, fill virt_caps. 0 or -ENODEV. */
VIRT_OP(int, cpu_probe, (void), ())
/* Switch virtualisation on, on the calling CPU, which gives VIRT_CPU_PAGES zeroed pages for good.
 */
VIRT_OP(void, cpu_enable, (void *pages, hpa_t pages_pa), (pages, pages_pa))
/* Let guests read and/or write an MSR without an exit; before the first vCPU is created. */
VIRT_OP(void, msr_allow, (uint32_t msr, bool read, bool write), (msr, read, write))

/*
 * Build a vCPU around VIRT_VCPU_PAGES zeroed pages, for nested paging (where virt_caps.tdp) or for
 * shadow paging. All that follows wants it loaded, but for what says otherwise.
 */
VIRT_OP(void, vcpu_init, (struct virt_vcpu * v, void *pages, hpa_t pages_pa, bool nested),
	(v, pages, pages_pa, nested))
/*
 * The vCPU comes onto the calling CPU: registers that the guest has to itself are swapped in. At
 * most one is loaded on a CPU, on at most one CPU.
 */
VIRT_OP(void, vcpu_load, (struct virt_vcpu * v), (v))
/* It leaves the calling CPU, which keeps nothing of it: it may be loaded elsewhere, or freed. */
VIRT_OP(void, vcpu_unload, (struct virt_vcpu * v), (v))
/*
 * The state after RESET or INIT: registers, segments, no event, no window. What it runs with stays
 * (virt_set_paging()), and so do the exits that are asked for with it: on page faults, INVLPG and
 * accesses to CR3.
 */
VIRT_OP(void, vcpu_reset, (struct virt_vcpu * v), (v))

/*
 * May the guest run with CR0.PE clear, and with CR0.PG clear on nested paging? Constant after
 * virt_vcpu_init(); it need not be loaded.
 */
VIRT_OP(bool, is_unrestricted, (struct virt_vcpu * v), (v))
/*
 * Can the CPU run the guest in its present state? Always, if virt_is_unrestricted(); else not in
 * real mode, nor with what is left of it in the segment registers.
 */
VIRT_OP(bool, can_run, (struct virt_vcpu * v), (v))
/*
 * Enter the guest and return at its next exit, described in `exit`. Interrupts are closed before
 * and after; a host interrupt that ended the run is still pending.
 */
VIRT_OP(void, vcpu_run, (struct virt_vcpu * v, struct vm_exit *exit), (v, exit))

VIRT_OP(uint64_t, reg_read, (struct virt_vcpu * v, enum vreg reg), (v, reg))
VIRT_OP(void, reg_write, (struct virt_vcpu * v, enum vreg reg, uint64_t val), (v, reg, val))
VIRT_OP(void, seg_read, (struct virt_vcpu * v, enum seg seg, struct segment *out), (v, seg, out))
VIRT_OP(void, seg_write, (struct virt_vcpu * v, enum seg seg, const struct segment *in),
	(v, seg, in))
VIRT_OP(void, gdtr_write, (struct virt_vcpu * v, const struct desc_table *t), (v, t))
VIRT_OP(void, idtr_write, (struct virt_vcpu * v, const struct desc_table *t), (v, t))
VIRT_OP(void, gdtr_read, (struct virt_vcpu * v, struct desc_table *t), (v, t))
VIRT_OP(void, idtr_read, (struct virt_vcpu * v, struct desc_table *t), (v, t))
/* What the emulator begins with, in one: of the guest. */
struct virt_insn_state {
	uint64_t rflags, cs_base, cr3;
	uint16_t cs_attr; /* SEG_ATTR_* */
	uint8_t cpl, cr8;
	bool irq_shadow;
	uint64_t cr0, cr4, efer; /* of these PE, LA57 and LMA; the rest has no meaning */
};
VIRT_OP(void, insn_state, (struct virt_vcpu * v, struct virt_insn_state *s), (v, s))
/*
 * ... and ends with: virt_set_rflags(), and virt_clear_irq_shadow() or its opposite, for an STI or
 * MOV SS that was executed in software.
 */
VIRT_OP(void, set_insn_state, (struct virt_vcpu * v, uint64_t rflags, bool irq_shadow),
	(v, rflags, irq_shadow))
/* RFLAGS: kept where the vendor has it, most exits never look at it. */
VIRT_OP(uint64_t, rflags, (struct virt_vcpu * v), (v))
VIRT_OP(void, set_rflags, (struct virt_vcpu * v, uint64_t rflags), (v, rflags))
/* DR7: asked for behind each access to a port or to memory in software. */
VIRT_OP(uint64_t, dr7, (struct virt_vcpu * v), (v))
/* The length of the instruction that exited, after an exit for one; 0: the CPU does not say. */
VIRT_OP(unsigned, insn_len, (struct virt_vcpu * v), (v))
/* The vendor's number of the last exit, for reports. */
VIRT_OP(uint64_t, exit_code, (struct virt_vcpu * v), (v))
/* Of CS: SEG_ATTR_*, and the base. */
VIRT_OP(uint16_t, cs_attr, (struct virt_vcpu * v), (v))
VIRT_OP(uint64_t, cs_base, (struct virt_vcpu * v), (v))
VIRT_OP(unsigned, cpl, (struct virt_vcpu * v), (v))

/* Inject at the next entry. At most one event is pending: has_event asks. */
VIRT_OP(void, inject, (struct virt_vcpu * v, const struct vm_event_info *ev), (v, ev))
VIRT_OP(bool, has_event, (struct virt_vcpu * v), (v))
/* Is the guest in the instruction after STI or MOV SS? Clear it when an instruction is skipped. */
VIRT_OP(bool, irq_shadow, (struct virt_vcpu * v), (v))
VIRT_OP(void, clear_irq_shadow, (struct virt_vcpu * v), (v))
/* Ask for EXIT_IRQ_WINDOW as soon as the guest can take an interrupt; or no more. */
VIRT_OP(void, irq_window, (struct virt_vcpu * v, bool on), (v, on))
/* Ask for EXIT_NMI_WINDOW when the guest's NMI handler returns. */
VIRT_OP(void, nmi_window, (struct virt_vcpu * v, bool on), (v, on))
/* The task priority that CR8 shows the guest (bits 3:0), and its change since. */
VIRT_OP(void, cr8_write, (struct virt_vcpu * v, uint8_t cr8), (v, cr8))
VIRT_OP(uint8_t, cr8_read, (struct virt_vcpu * v), (v))

/*
 * What the hardware runs with from the next entry on. The guest's CR0, CR3, CR4, EFER, PAT and
 * PDPTEs stay what they are: virt_reg_*(), virt_insn_state() and virt_pdptes_*() speak of these
 * alone, and a guest that reads or writes one of them where the two differ exits. Does not flush.
 *
 * With nested paging only the root counts. Without it, call this again for each root and when the
 * guest changes its paging mode; the hardware has the host's PAT, task switches exit.
 */
VIRT_OP(void, set_paging, (struct virt_vcpu * v, const struct virt_paging *p), (v, p))
/* Forget, at the next entry, what the guest's own tables gave: CR0, CR3 or CR4 was written here. */
VIRT_OP(void, flush, (struct virt_vcpu * v), (v))
/* Forget, at the next entry, what the two-dimensional tables gave as well. */
VIRT_OP(void, flush_tdp, (struct virt_vcpu * v), (v))
/* Forget, before the next entry, at least what this linear address gave, global or not. */
VIRT_OP(void, flush_gva, (struct virt_vcpu * v, gva_t gva), (v, gva))
/*
 * Have the CPU note each page whose dirty bit it sets in the two-dimensional tables, or no more;
 * where virt_caps.tdp_logs_writes. SDM volume 3, 28.3.6, "Page-Modification Logging".
 */
VIRT_OP(void, log_writes, (struct virt_vcpu * v, bool on), (v, on))
/*
 * What was noted since the last call: `*gpa` is where the pages' guest-physical addresses are until
 * the next entry; returns how many, up to 512. Nothing is noted twice while its dirty bit is set.
 */
VIRT_OP(unsigned, take_log, (struct virt_vcpu * v, const uint64_t **gpa), (v, gpa))
/*
 * Are the guest's PDPTEs of PAE paging kept in registers, loaded with CR3 (SDM volume 3, 4.4.1)?
 * Not on SVM with nested paging, whose walks read them from memory. Constant as above.
 */
VIRT_OP(bool, has_pdptes, (struct virt_vcpu * v), (v))
/* These registers: only where virt_has_pdptes(). */
VIRT_OP(void, pdptes_read, (struct virt_vcpu * v, uint64_t pdpte[4]), (v, pdpte))
VIRT_OP(void, pdptes_write, (struct virt_vcpu * v, const uint64_t pdpte[4]), (v, pdpte))
/*
 * SPEC_CTRL while the guest runs, beside what the machine has set; 0 costs nothing. The CPU has the
 * MSR, or `val` is 0. It need not be loaded.
 */
VIRT_OP(void, set_spec_ctrl, (struct virt_vcpu * v, uint64_t val), (v, val))
VIRT_OP(void, set_tsc_offset, (struct virt_vcpu * v, uint64_t offset), (v, offset))
/* Exit on PAUSE (when vCPUs share the CPU), and with EXIT_PREEMPTION at a TSC value; 0: never. */
VIRT_OP(void, exit_on_pause, (struct virt_vcpu * v, bool on), (v, on))
VIRT_OP(void, preempt_at, (struct virt_vcpu * v, uint64_t tsc), (v, tsc))
/* Exit on writes that change one of these bits of CR0, CR4 (at least), and on writes of CR8. */
VIRT_OP(void, exit_on_cr0_write, (struct virt_vcpu * v, uint64_t bits), (v, bits))
VIRT_OP(void, exit_on_cr4_write, (struct virt_vcpu * v, uint64_t bits), (v, bits))
VIRT_OP(void, exit_on_cr8_write, (struct virt_vcpu * v, bool on), (v, on))
/* Exit on reads and on writes of CR3. Without nested paging they exit in any case. */
VIRT_OP(void, exit_on_cr3, (struct virt_vcpu * v, bool read, bool write), (v, read, write))
/* EXIT_PAGE_FAULT on every page fault. */
VIRT_OP(void, exit_on_page_fault, (struct virt_vcpu * v, bool on), (v, on))
/* EXIT_INVLPG and EXIT_INVPCID: VMX has one control for both. */
VIRT_OP(void, exit_on_invlpg, (struct virt_vcpu * v, bool on), (v, on))
/* One line per register group to the log. */
VIRT_OP(void, dump, (struct virt_vcpu * v), (v))

#endif
