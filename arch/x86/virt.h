/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam between vmm/ and the two vendor back ends (svm/, vmx/): the whole contract. Above it
 * nothing knows a vendor's name; below it nothing knows a policy. Both back ends fill the same
 * exit record, so each exit is handled once.
 *
 * Calls are direct: virt_*() picks the vendor with one predictable branch, no pointers.
 */
#ifndef ARCH_X86_VIRT_H
#define ARCH_X86_VIRT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/types.h"

/* General registers in the order of their encoding, so that a ModRM field is an index. */
enum gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	NR_GPRS,
};

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, NR_SEGS };

/* A segment register with its hidden part. */
struct segment {
	uint64_t base;
	uint32_t limit; /* bytes - 1, granularity applied */
	uint16_t selector;
	uint16_t attr;	/* SEG_ATTR_*: descriptor bits 55:52 and 47:40 as in SVM's VMCB */
};

#define SEG_ATTR_TYPE	  0x00f
#define SEG_ATTR_S	  0x010
#define SEG_ATTR_DPL	  0x060
#define SEG_ATTR_P	  0x080
#define SEG_ATTR_AVL	  0x100
#define SEG_ATTR_L	  0x200
#define SEG_ATTR_DB	  0x400
#define SEG_ATTR_G	  0x800
#define SEG_ATTR_UNUSABLE 0x1000 /* loaded with a null selector */

struct desc_table {
	uint64_t base;
	uint16_t limit;
};

/* Registers that are neither general nor segments. MSRs not named here go by virt_msr_*(). */
enum vreg {
	VREG_CR0, VREG_CR2, VREG_CR3, VREG_CR4, VREG_EFER, VREG_DR6, VREG_DR7, VREG_PAT,
	VREG_STAR, VREG_LSTAR, VREG_CSTAR, VREG_SFMASK, VREG_KERNEL_GS_BASE,
	VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP, VREG_FS_BASE, VREG_GS_BASE,
	VREG_DEBUGCTL, NR_VREGS,
};

enum exit_reason {
	EXIT_INTERRUPT,	    /* a host interrupt, not yet taken */
	EXIT_NMI,	    /* a host NMI */
	EXIT_IRQ_WINDOW,    /* the guest can take the interrupt that waits */
	EXIT_NMI_WINDOW,
	EXIT_HLT,
	EXIT_CPUID,
	EXIT_HYPERCALL,	    /* VMCALL / VMMCALL */
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_IO,	    /* IN, OUT, INS, OUTS */
	EXIT_MEMORY_FAULT,  /* NPT or EPT violation; EPT misconfiguration */
	EXIT_CR_READ,
	EXIT_CR_WRITE,	    /* MOV to CR, CLTS, LMSW: `cr.*` says which value is meant */
	EXIT_DR_ACCESS,
	EXIT_EXCEPTION,
	EXIT_INVLPG,
	EXIT_RDTSC,
	EXIT_RDPMC,
	EXIT_WBINVD,
	EXIT_XSETBV,
	EXIT_PAUSE,
	EXIT_MONITOR,
	EXIT_MWAIT,
	EXIT_TASK_SWITCH,
	EXIT_VIRT_INSN,	    /* VMX/SVM instructions of the guest */
	EXIT_PREEMPTION,    /* time slice over (VMX preemption timer) */
	EXIT_SHUTDOWN,	    /* triple fault */
	EXIT_INVALID_STATE, /* the CPU refused the guest state */
	EXIT_UNKNOWN,	    /* `code` has the vendor's number */
	NR_EXIT_REASONS,
};

/* Access bits of a memory fault, in the layout of a page-fault error code. */
#define PFERR_PRESENT  (1u << 0)
#define PFERR_WRITE    (1u << 1)
#define PFERR_USER     (1u << 2)
#define PFERR_RSVD     (1u << 3)
#define PFERR_FETCH    (1u << 4)
#define PFERR_PK       (1u << 5)
#define PFERR_GUEST_PT (1u << 8) /* the access was the CPU's walk of the guest's page tables */

struct vm_exit {
	enum exit_reason reason;
	uint32_t insn_len;	 /* bytes; 0 if the CPU does not say */
	uint64_t code;		 /* vendor exit code, for reports */
	union {
		struct {
			gpa_t gpa;
			uint32_t error;	 /* PFERR_* */
			uint8_t insn[15]; /* instruction bytes if the CPU gives them */
			uint8_t insn_bytes;
		} fault;
		struct {
			uint16_t port;
			uint8_t size;	/* 1, 2, 4 */
			bool in, string, rep;
			uint64_t next_rip; /* 0 if the CPU does not say */
		} io;
		struct {
			uint8_t cr;	/* 0, 2, 3, 4, 8 */
			bool known;	/* gpr is known: a MOV; else decode the instruction */
			uint8_t gpr;
		} cr;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
			uint64_t address; /* #PF: the faulting linear address */
		} exception;
		struct {
			gva_t gva;
		} invlpg;
	};
};

/* An event to inject, or one whose delivery an exit interrupted. */
enum event_type { EVENT_NONE, EVENT_INTR, EVENT_NMI, EVENT_EXCEPTION, EVENT_SOFT_INT };

struct vm_event_info {
	enum event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint8_t insn_len; /* EVENT_SOFT_INT, #BP and #OF: length of the instruction */
};

#endif
