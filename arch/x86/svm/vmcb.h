/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block: AMD64 Architecture Programmer's Manual volume 2,
 * appendix B (layout) and C (exit codes).
 */
#ifndef ARCH_X86_SVM_VMCB_H
#define ARCH_X86_SVM_VMCB_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/bits.h"

/* Intercepts, word 3 (offset 00ch). */
#define SVM_INTERCEPT_INTR        BIT(0)
#define SVM_INTERCEPT_NMI         BIT(1)
#define SVM_INTERCEPT_INIT        BIT(3)
#define SVM_INTERCEPT_VINTR       BIT(4)
#define SVM_INTERCEPT_CR0_SEL     BIT(5) /* writes of CR0 that change more than TS and MP */
#define SVM_INTERCEPT_RDPMC       BIT(15)
#define SVM_INTERCEPT_CPUID       BIT(18)
#define SVM_INTERCEPT_IRET        BIT(20)
#define SVM_INTERCEPT_INVD        BIT(22)
#define SVM_INTERCEPT_PAUSE       BIT(23)
#define SVM_INTERCEPT_HLT         BIT(24)
#define SVM_INTERCEPT_INVLPG      BIT(25)
#define SVM_INTERCEPT_INVLPGA     BIT(26)
#define SVM_INTERCEPT_IOIO        BIT(27)
#define SVM_INTERCEPT_MSR         BIT(28)
#define SVM_INTERCEPT_TASK_SWITCH BIT(29)
#define SVM_INTERCEPT_SHUTDOWN    BIT(31)

/* Intercepts, word 4 (offset 010h). */
#define SVM_INTERCEPT_VMRUN     BIT(0)
#define SVM_INTERCEPT_VMMCALL   BIT(1)
#define SVM_INTERCEPT_VMLOAD    BIT(2)
#define SVM_INTERCEPT_VMSAVE    BIT(3)
#define SVM_INTERCEPT_STGI      BIT(4)
#define SVM_INTERCEPT_CLGI      BIT(5)
#define SVM_INTERCEPT_SKINIT    BIT(6)
#define SVM_INTERCEPT_WBINVD    BIT(9)
#define SVM_INTERCEPT_MONITOR   BIT(10)
#define SVM_INTERCEPT_MWAIT     BIT(11)
#define SVM_INTERCEPT_MWAIT_ARM BIT(12)
#define SVM_INTERCEPT_XSETBV    BIT(13)
#define SVM_INTERCEPT_RDPRU     BIT(14)

/* Intercepts, word 5 (offset 014h). */
#define SVM_INTERCEPT_INVLPGB BIT(0)
#define SVM_INTERCEPT_INVPCID BIT(2)
#define SVM_INTERCEPT_MCOMMIT BIT(3)
#define SVM_INTERCEPT_TLBSYNC BIT(4)

/* tlb_control (offset 05ch). */
#define SVM_TLB_KEEP       0
#define SVM_TLB_FLUSH_ALL  1 /* every ASID, the host's too */
#define SVM_TLB_FLUSH_ASID 3 /* this guest's; needs FlushByAsid */

/* vintr (offset 060h). */
#define SVM_V_TPR          GENMASK_ULL(7, 0)
#define SVM_V_IRQ          BIT_ULL(8)
#define SVM_V_INTR_PRIO    GENMASK_ULL(19, 16)
#define SVM_V_IGN_TPR      BIT_ULL(20)
#define SVM_V_INTR_MASKING BIT_ULL(24)

#define SVM_LBR_VIRT_ENABLE BIT_ULL(0) /* offset 0b8h: DEBUGCTL is the guest's while it runs */
#define SVM_INT_SHADOW      BIT_ULL(0) /* offset 068h */
#define SVM_NP_ENABLE       BIT_ULL(0) /* offset 090h */

/* eventinj (0a8h) and exitintinfo (088h). */
#define SVM_EVENT_VECTOR      GENMASK_ULL(7, 0)
#define SVM_EVENT_TYPE        GENMASK_ULL(10, 8)
#define SVM_EVENT_TYPE_INTR   0
#define SVM_EVENT_TYPE_NMI    2
#define SVM_EVENT_TYPE_EXCEPT 3
#define SVM_EVENT_TYPE_SOFT   4
#define SVM_EVENT_EV          BIT_ULL(11) /* an error code is pushed */
#define SVM_EVENT_VALID       BIT_ULL(31)
#define SVM_EVENT_ERROR       GENMASK_ULL(63, 32)

/* VMCB clean bits (offset 0c0h): a set bit says "unchanged since the last run here". */
#define SVM_CLEAN_INTERCEPTS BIT(0)
#define SVM_CLEAN_IOMSRPM    BIT(1)
#define SVM_CLEAN_ASID       BIT(2)
#define SVM_CLEAN_TPR        BIT(3)
#define SVM_CLEAN_NP         BIT(4) /* ncr3, g_pat, np_enable */
#define SVM_CLEAN_CRX        BIT(5)
#define SVM_CLEAN_DRX        BIT(6)
#define SVM_CLEAN_DT         BIT(7)
#define SVM_CLEAN_SEG        BIT(8)
#define SVM_CLEAN_CR2        BIT(9)
#define SVM_CLEAN_ALL        GENMASK_ULL(9, 0)

/* Exit codes (appendix C). */
#define SVM_EXIT_READ_CR0    0x000
#define SVM_EXIT_WRITE_CR0   0x010
#define SVM_EXIT_READ_DR0    0x020
#define SVM_EXIT_WRITE_DR0   0x030
#define SVM_EXIT_EXCP_BASE   0x040
#define SVM_EXIT_INTR        0x060
#define SVM_EXIT_NMI         0x061
#define SVM_EXIT_INIT        0x063
#define SVM_EXIT_VINTR       0x064
#define SVM_EXIT_CR0_SEL     0x065
#define SVM_EXIT_RDPMC       0x06f
#define SVM_EXIT_CPUID       0x072
#define SVM_EXIT_IRET        0x074
#define SVM_EXIT_INVD        0x076
#define SVM_EXIT_PAUSE       0x077
#define SVM_EXIT_HLT         0x078
#define SVM_EXIT_INVLPG      0x079
#define SVM_EXIT_INVLPGA     0x07a
#define SVM_EXIT_IOIO        0x07b
#define SVM_EXIT_MSR         0x07c
#define SVM_EXIT_TASK_SWITCH 0x07d
#define SVM_EXIT_SHUTDOWN    0x07f
#define SVM_EXIT_VMRUN       0x080
#define SVM_EXIT_VMMCALL     0x081
#define SVM_EXIT_VMLOAD      0x082
#define SVM_EXIT_VMSAVE      0x083
#define SVM_EXIT_STGI        0x084
#define SVM_EXIT_CLGI        0x085
#define SVM_EXIT_SKINIT      0x086
#define SVM_EXIT_WBINVD      0x089
#define SVM_EXIT_MONITOR     0x08a
#define SVM_EXIT_MWAIT       0x08b
#define SVM_EXIT_MWAIT_COND  0x08c
#define SVM_EXIT_XSETBV      0x08d
#define SVM_EXIT_RDPRU       0x08e
#define SVM_EXIT_INVLPGB     0x0a0
#define SVM_EXIT_INVLPGB_BAD 0x0a1
#define SVM_EXIT_INVPCID     0x0a2
#define SVM_EXIT_MCOMMIT     0x0a3
#define SVM_EXIT_TLBSYNC     0x0a4
#define SVM_EXIT_NPF         0x400
#define SVM_EXIT_INVALID     0xffffffffu /* QEMU fills only the low half */

/* exitinfo1 of SVM_EXIT_IOIO. */
#define SVM_IOIO_IN         BIT_ULL(0)
#define SVM_IOIO_STRING_REP GENMASK_ULL(3, 2)
#define SVM_IOIO_SIZE       GENMASK_ULL(6, 4) /* one of three bits: bytes */
#define SVM_IOIO_PORT       GENMASK_ULL(31, 16)

/* exitinfo1 of SVM_EXIT_NPF above the page-fault error code. */
#define SVM_NPF_FINAL    BIT_ULL(32) /* the guest's own access */
#define SVM_NPF_GUEST_PT BIT_ULL(33) /* the walk of the guest's tables */

/* exitinfo1 and exitinfo2 of SVM_EXIT_TASK_SWITCH (section 15.14.1). */
#define SVM_TASK_SELECTOR GENMASK_ULL(15, 0)
#define SVM_TASK_IRET     BIT_ULL(36)
#define SVM_TASK_JMP      BIT_ULL(38)

/* exitinfo1 of a CR access with decode assists. */
#define SVM_CR_IS_MOV BIT_ULL(63)
#define SVM_CR_GPR    GENMASK_ULL(3, 0)

struct vmcb_seg {
	uint16_t selector;
	uint16_t attr;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	/* Control area. */
	uint16_t intercept_cr_read, intercept_cr_write;
	uint16_t intercept_dr_read, intercept_dr_write;
	uint32_t intercept_exceptions;
	uint32_t intercept_misc1, intercept_misc2, intercept_misc3;
	uint8_t reserved_018[0x3c - 0x18];
	uint16_t pause_filter_threshold, pause_filter_count;
	uint64_t iopm_base_pa, msrpm_base_pa;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, reserved_05d[3];
	uint64_t vintr;
	uint64_t interrupt_shadow;
	uint64_t exitcode, exitinfo1, exitinfo2, exitintinfo;
	uint64_t np_enable;
	uint8_t reserved_098[0xa8 - 0x98];
	uint64_t eventinj;
	uint64_t ncr3;
	uint64_t lbr_virt_enable;
	uint32_t clean, reserved_0c4;
	uint64_t nrip;
	uint8_t insn_bytes, insn[15];
	uint8_t reserved_0e0[0x400 - 0xe0];

	/* State save area. */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint8_t reserved_4cc[4];
	uint64_t efer;
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved_5e0[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t g_pat, debugctl, last_branch_from, last_branch_to;
	uint64_t last_exception_from, last_exception_to;
	uint8_t reserved_698[0x6e0 - 0x698];
	uint64_t spec_ctrl; /* with V_SPEC_CTRL */
	uint8_t reserved_6e8[0x1000 - 0x6e8];
};

static_assert(offsetof(struct vmcb, pause_filter_threshold) == 0x03c, "VMCB layout");
static_assert(offsetof(struct vmcb, asid) == 0x058, "VMCB layout");
static_assert(offsetof(struct vmcb, exitcode) == 0x070, "VMCB layout");
static_assert(offsetof(struct vmcb, np_enable) == 0x090, "VMCB layout");
static_assert(offsetof(struct vmcb, eventinj) == 0x0a8, "VMCB layout");
static_assert(offsetof(struct vmcb, clean) == 0x0c0, "VMCB layout");
static_assert(offsetof(struct vmcb, insn_bytes) == 0x0d0, "VMCB layout");
static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB layout");
static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB layout");
static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB layout");
static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB layout");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB layout");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB layout");
static_assert(offsetof(struct vmcb, g_pat) == 0x668, "VMCB layout");
static_assert(offsetof(struct vmcb, spec_ctrl) == 0x6e0, "VMCB layout");
static_assert(sizeof(struct vmcb) == 0x1000, "VMCB layout");

#endif
