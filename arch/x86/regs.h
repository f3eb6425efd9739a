/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bits of x86-64's registers, page tables and descriptors, and the numbers of its MSRs and
 * vectors, under the manuals' own names (Intel SDM volume 3 and 4, AMD APM volume 2). Definitions
 * only: hosted code and assembler files include this too.
 */
#ifndef ARCH_X86_REGS_H
#define ARCH_X86_REGS_H

#ifdef __ASSEMBLY__
#define BIT_ULL(n) (1 << (n))
#else
#include "lib/bits.h"
#endif

/* RFLAGS: SDM volume 1, 3.4.3 */
#define RFLAGS_CF    BIT_ULL(0)
#define RFLAGS_FIXED BIT_ULL(1) /* always 1 */
#define RFLAGS_PF    BIT_ULL(2)
#define RFLAGS_AF    BIT_ULL(4)
#define RFLAGS_ZF    BIT_ULL(6)
#define RFLAGS_SF    BIT_ULL(7)
#define RFLAGS_TF    BIT_ULL(8)
#define RFLAGS_IF    BIT_ULL(9)
#define RFLAGS_DF    BIT_ULL(10)
#define RFLAGS_OF    BIT_ULL(11)
#define RFLAGS_IOPL  (BIT_ULL(12) | BIT_ULL(13))
#define RFLAGS_NT    BIT_ULL(14)
#define RFLAGS_RF    BIT_ULL(16)
#define RFLAGS_VM    BIT_ULL(17)
#define RFLAGS_AC    BIT_ULL(18)
#define RFLAGS_VIF   BIT_ULL(19)
#define RFLAGS_VIP   BIT_ULL(20)
#define RFLAGS_ID    BIT_ULL(21)

/* Control registers: SDM volume 3, 2.5 */
#define CR0_PE BIT_ULL(0)
#define CR0_MP BIT_ULL(1)
#define CR0_EM BIT_ULL(2)
#define CR0_TS BIT_ULL(3)
#define CR0_ET BIT_ULL(4)
#define CR0_NE BIT_ULL(5)
#define CR0_WP BIT_ULL(16)
#define CR0_AM BIT_ULL(18)
#define CR0_NW BIT_ULL(29)
#define CR0_CD BIT_ULL(30)
#define CR0_PG BIT_ULL(31)

#define CR3_PWT      BIT_ULL(3)
#define CR3_PCD      BIT_ULL(4)
#define CR3_PCID     0xfffull
#define CR3_NO_FLUSH BIT_ULL(63) /* MOV to CR3 with CR4.PCIDE: keep the TLB */

#define CR4_VME        BIT_ULL(0)
#define CR4_PVI        BIT_ULL(1)
#define CR4_TSD        BIT_ULL(2)
#define CR4_DE         BIT_ULL(3)
#define CR4_PSE        BIT_ULL(4)
#define CR4_PAE        BIT_ULL(5)
#define CR4_MCE        BIT_ULL(6)
#define CR4_PGE        BIT_ULL(7)
#define CR4_PCE        BIT_ULL(8)
#define CR4_OSFXSR     BIT_ULL(9)
#define CR4_OSXMMEXCPT BIT_ULL(10)
#define CR4_UMIP       BIT_ULL(11)
#define CR4_LA57       BIT_ULL(12)
#define CR4_VMXE       BIT_ULL(13)
#define CR4_SMXE       BIT_ULL(14)
#define CR4_FSGSBASE   BIT_ULL(16)
#define CR4_PCIDE      BIT_ULL(17)
#define CR4_OSXSAVE    BIT_ULL(18)
#define CR4_KL         BIT_ULL(19)
#define CR4_SMEP       BIT_ULL(20)
#define CR4_SMAP       BIT_ULL(21)
#define CR4_PKE        BIT_ULL(22)
#define CR4_CET        BIT_ULL(23)
#define CR4_PKS        BIT_ULL(24)

/* XCR0: SDM volume 1, 13.3 */
#define XCR0_X87       BIT_ULL(0)
#define XCR0_SSE       BIT_ULL(1)
#define XCR0_AVX       BIT_ULL(2)
#define XCR0_BNDREGS   BIT_ULL(3)
#define XCR0_BNDCSR    BIT_ULL(4)
#define XCR0_OPMASK    BIT_ULL(5)
#define XCR0_ZMM_HI256 BIT_ULL(6)
#define XCR0_HI16_ZMM  BIT_ULL(7)
#define XCR0_PKRU      BIT_ULL(9)

/* Debug registers: SDM volume 3, 17.2 */
#define DR6_B0_B3   0xfull
#define DR6_BLD     BIT_ULL(11)
#define DR6_BD      BIT_ULL(13)
#define DR6_BS      BIT_ULL(14)
#define DR6_BT      BIT_ULL(15)
#define DR6_RTM     BIT_ULL(16)
#define DR6_INIT    0xffff0ff0ull
#define DR7_FIXED   BIT_ULL(10) /* always 1 */
#define DR7_GD      BIT_ULL(13)
#define DR7_ENABLED 0xffull /* L0 to G3: some breakpoint is, if one of these is set */
#define DR7_INIT    0x400ull

/* Page-table entries: SDM volume 3, 4.5 */
#define PTE_P         BIT_ULL(0)
#define PTE_RW        BIT_ULL(1)
#define PTE_US        BIT_ULL(2)
#define PTE_PWT       BIT_ULL(3)
#define PTE_PCD       BIT_ULL(4)
#define PTE_A         BIT_ULL(5)
#define PTE_D         BIT_ULL(6)
#define PTE_PS        BIT_ULL(7) /* a large page, in levels 2 and 3 */
#define PTE_PAT       BIT_ULL(7) /* in level 1 */
#define PTE_G         BIT_ULL(8)
#define PTE_PAT_LARGE BIT_ULL(12) /* in large pages */
#define PTE_NX        BIT_ULL(63)
#ifndef __ASSEMBLY__
#define PTE_ADDR GENMASK_ULL(51, 12)
#endif

/* Memory types of MTRRs and PAT: SDM volume 3, 11.3 */
#define MEMTYPE_UC       0
#define MEMTYPE_WC       1
#define MEMTYPE_WT       4
#define MEMTYPE_WP       5
#define MEMTYPE_WB       6
#define MEMTYPE_UC_MINUS 7 /* PAT only */
#define PAT_RESET        0x0007040600070406ull

/* Descriptors in the GDT: SDM volume 3, 3.4.5; the upper word of a descriptor */
#define DESC_TYPE_DATA     (2 << 8)  /* writable, expands up */
#define DESC_TYPE_CODE     (10 << 8) /* readable */
#define DESC_TYPE_LDT      (2 << 8)  /* with DESC_S clear */
#define DESC_TYPE_TSS      (9 << 8)  /* available, 32 or 64 bit, with DESC_S clear */
#define DESC_TYPE_TSS_BUSY (11 << 8)
#define DESC_ACCESSED      (1 << 8)
#define DESC_S             (1 << 12) /* code or data, not a system segment */
#define DESC_DPL(n)        ((n) << 13)
#define DESC_P             (1 << 15)
#define DESC_L             (1 << 21)
#define DESC_DB            (1 << 22)
#define DESC_G             (1 << 23)

/* IDT gates: SDM volume 3, 6.14.1 */
#define GATE_INTERRUPT 0x8e00 /* present, DPL 0, 64-bit interrupt gate */

/* Exceptions: SDM volume 3, 6.15 */
#define X86_TRAP_DE  0
#define X86_TRAP_DB  1
#define X86_TRAP_NMI 2
#define X86_TRAP_BP  3
#define X86_TRAP_OF  4
#define X86_TRAP_BR  5
#define X86_TRAP_UD  6
#define X86_TRAP_NM  7
#define X86_TRAP_DF  8
#define X86_TRAP_TS  10
#define X86_TRAP_NP  11
#define X86_TRAP_SS  12
#define X86_TRAP_GP  13
#define X86_TRAP_PF  14
#define X86_TRAP_MF  16
#define X86_TRAP_AC  17
#define X86_TRAP_MC  18
#define X86_TRAP_XM  19
#define X86_TRAP_VE  20
#define X86_TRAP_CP  21
#define X86_TRAP_HV  28
#define X86_TRAP_VC  29
#define X86_TRAP_SX  30

/* The exceptions that push an error code, one bit for each vector. */
#define X86_TRAPS_WITH_ERROR 0x60227d00

/* Access bits of a memory fault, in the layout of a page-fault error code. */
#define PFERR_PRESENT  (1u << 0)
#define PFERR_WRITE    (1u << 1)
#define PFERR_USER     (1u << 2)
#define PFERR_RSVD     (1u << 3)
#define PFERR_FETCH    (1u << 4)
#define PFERR_PK       (1u << 5)
#define PFERR_GUEST_PT (1u << 8) /* the access was the CPU's walk of the guest's page tables */

/* MSRs of both vendors: SDM volume 4, APM volume 2 appendix A */
#define MSR_TSC               0x10
#define MSR_APICBASE          0x1b
#define MSR_FEATURE_CONTROL   0x3a
#define MSR_TSC_ADJUST        0x3b
#define MSR_SPEC_CTRL         0x48
#define MSR_PRED_CMD          0x49
#define MSR_BIOS_UPDT_TRIG    0x79
#define MSR_BIOS_SIGN_ID      0x8b
#define MSR_PLATFORM_INFO     0xce
#define MSR_MTRRCAP           0xfe
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_FLUSH_CMD         0x10b
#define MSR_SYSENTER_CS       0x174
#define MSR_SYSENTER_ESP      0x175
#define MSR_SYSENTER_EIP      0x176
#define MSR_MCG_CAP           0x179
#define MSR_MCG_STATUS        0x17a
#define MSR_MCG_CTL           0x17b
#define MSR_MISC_ENABLE       0x1a0
#define MSR_DEBUGCTL          0x1d9
#define MSR_LASTBRANCHFROMIP  0x1db
#define MSR_LASTBRANCHTOIP    0x1dc
#define MSR_LASTINTFROMIP     0x1dd
#define MSR_LASTINTTOIP       0x1de
#define MSR_MTRR_PHYSBASE(n)  (0x200 + 2 * (n))
#define MSR_MTRR_PHYSMASK(n)  (0x201 + 2 * (n))
#define MSR_MTRR_FIX64K_00000 0x250
#define MSR_MTRR_FIX16K_80000 0x258
#define MSR_MTRR_FIX16K_A0000 0x259
#define MSR_MTRR_FIX4K_C0000  0x268 /* ... 0x26f */
#define MSR_PAT               0x277
#define MSR_MTRR_DEF_TYPE     0x2ff
#define MSR_MC0_CTL           0x400
#define MSR_MC_CTL(n)         (0x400 + 4 * (n)) /* banks of machine checks */
#define MSR_MC_STATUS(n)      (0x401 + 4 * (n))
#define MSR_MC_ADDR(n)        (0x402 + 4 * (n))
#define MSR_MC_MISC(n)        (0x403 + 4 * (n))
#define MSR_TSC_DEADLINE      0x6e0
#define MSR_XSS               0xda0
#define MSR_EFER              0xc0000080
#define MSR_STAR              0xc0000081
#define MSR_LSTAR             0xc0000082
#define MSR_CSTAR             0xc0000083
#define MSR_SFMASK            0xc0000084
#define MSR_FS_BASE           0xc0000100
#define MSR_GS_BASE           0xc0000101
#define MSR_KERNEL_GS_BASE    0xc0000102
#define MSR_TSC_AUX           0xc0000103

#define APICBASE_BSP    BIT_ULL(8)
#define APICBASE_X2APIC BIT_ULL(10)
#define APICBASE_ENABLE BIT_ULL(11)

#define MISC_ENABLE_FAST_STRINGS     BIT_ULL(0)
#define MISC_ENABLE_BTS_UNAVAILABLE  BIT_ULL(11)
#define MISC_ENABLE_PEBS_UNAVAILABLE BIT_ULL(12)

#define EFER_SCE    BIT_ULL(0)
#define EFER_LME    BIT_ULL(8)
#define EFER_LMA    BIT_ULL(10)
#define EFER_NXE    BIT_ULL(11)
#define EFER_SVME   BIT_ULL(12)
#define EFER_LMSLE  BIT_ULL(13)
#define EFER_FFXSR  BIT_ULL(14)
#define EFER_TCE    BIT_ULL(15)
#define EFER_AIBRSE BIT_ULL(21)

#define DEBUGCTL_LBR      BIT_ULL(0) /* branches are recorded */
#define DEBUGCTL_BTF      BIT_ULL(1) /* TF steps over branches, not instructions */
#define DEBUGCTL_BUS_LOCK BIT_ULL(2)

#define SPEC_CTRL_IBRS  BIT_ULL(0)
#define SPEC_CTRL_STIBP BIT_ULL(1)
#define SPEC_CTRL_SSBD  BIT_ULL(2)
#define PRED_CMD_IBPB   BIT_ULL(0)
#define FLUSH_CMD_L1D   BIT_ULL(0)

/* What a CPU is safe from: Intel's "Speculative Execution Side Channel Mitigations". */
#define ARCH_CAP_RDCL_NO        BIT_ULL(0) /* L1 terminal fault, among others */
#define ARCH_CAP_IBRS_ALL       BIT_ULL(1) /* IBRS, once set, holds for all that comes after */
#define ARCH_CAP_RSBA           BIT_ULL(2) /* returns may take their target from other predictors */
#define ARCH_CAP_SKIP_L1DFL     BIT_ULL(3) /* a hypervisor below flushes the L1 cache */
#define ARCH_CAP_SSB_NO         BIT_ULL(4)
#define ARCH_CAP_MDS_NO         BIT_ULL(5)
#define ARCH_CAP_PSCHANGE_MC_NO BIT_ULL(6) /* two sizes of a page in the TLB do no harm */
#define ARCH_CAP_TAA_NO         BIT_ULL(8)
#define ARCH_CAP_SBDR_SSDP_NO   BIT_ULL(13) /* this and the next two: MMIO stale data */
#define ARCH_CAP_FBSDP_NO       BIT_ULL(14)
#define ARCH_CAP_PSDP_NO        BIT_ULL(15)
#define ARCH_CAP_FB_CLEAR       BIT_ULL(17) /* VERW clears the fill buffers */
#define ARCH_CAP_RRSBA          BIT_ULL(19) /* as RSBA, within what IBRS lets through */
#define ARCH_CAP_BHI_NO         BIT_ULL(20)
#define ARCH_CAP_PBRSB_NO       BIT_ULL(24)
#define ARCH_CAP_GDS_NO         BIT_ULL(26)
#define ARCH_CAP_RFDS_NO        BIT_ULL(27)
#define ARCH_CAP_RFDS_CLEAR     BIT_ULL(28) /* VERW clears the register files */

#define ARCH_CAP_ITS_NO BIT_ULL(62)

#define MTRRCAP_VCNT        0xffull
#define MTRRCAP_FIX         BIT_ULL(8)
#define MTRRCAP_WC          BIT_ULL(10)
#define MTRR_DEF_TYPE_FE    BIT_ULL(10)
#define MTRR_DEF_TYPE_E     BIT_ULL(11)
#define MTRR_PHYSMASK_VALID BIT_ULL(11)

/* Machine checks: SDM volume 3, 15.3; APM volume 2, 9.3. S and AR are Intel's. */
#define MCG_CAP_COUNT    0xffull /* of banks */
#define MCG_CAP_CTL_P    BIT_ULL(8)
#define MCG_CAP_SER_P    BIT_ULL(24) /* software can recover from some: S and AR mean something */
#define MCG_STATUS_RIPV  BIT_ULL(0)  /* what was interrupted can go on */
#define MCG_STATUS_EIPV  BIT_ULL(1)  /* ... and has to do with the error */
#define MCG_STATUS_MCIP  BIT_ULL(2)
#define MCG_STATUS_LMCES BIT_ULL(3) /* no other CPU got it */
#define MCI_STATUS_AR    BIT_ULL(55)
#define MCI_STATUS_S     BIT_ULL(56)
#define MCI_STATUS_PCC   BIT_ULL(57)
#define MCI_STATUS_ADDRV BIT_ULL(58)
#define MCI_STATUS_MISCV BIT_ULL(59)
#define MCI_STATUS_EN    BIT_ULL(60)
#define MCI_STATUS_UC    BIT_ULL(61)
#define MCI_STATUS_OVER  BIT_ULL(62)
#define MCI_STATUS_VAL   BIT_ULL(63)

/* x2APIC: register r of the xAPIC page is MSR 0x800 + r / 16 */
#define MSR_X2APIC_BASE        0x800
#define MSR_X2APIC_ID          0x802
#define MSR_X2APIC_VERSION     0x803
#define MSR_X2APIC_TPR         0x808
#define MSR_X2APIC_PPR         0x80a
#define MSR_X2APIC_EOI         0x80b
#define MSR_X2APIC_LDR         0x80d
#define MSR_X2APIC_SIVR        0x80f
#define MSR_X2APIC_ISR         0x810
#define MSR_X2APIC_TMR         0x818
#define MSR_X2APIC_IRR         0x820
#define MSR_X2APIC_ESR         0x828
#define MSR_X2APIC_LVT_CMCI    0x82f
#define MSR_X2APIC_ICR         0x830
#define MSR_X2APIC_LVT_TIMER   0x832
#define MSR_X2APIC_LVT_THERMAL 0x833
#define MSR_X2APIC_LVT_PMI     0x834
#define MSR_X2APIC_LVT_LINT0   0x835
#define MSR_X2APIC_LVT_LINT1   0x836
#define MSR_X2APIC_LVT_ERROR   0x837
#define MSR_X2APIC_TIMER_INIT  0x838
#define MSR_X2APIC_TIMER_CUR   0x839
#define MSR_X2APIC_TIMER_DIV   0x83e
#define MSR_X2APIC_SELF_IPI    0x83f
#define MSR_X2APIC_END         0x8ff

/* AMD */
#define MSR_PERF_EVTSEL0     0xc0010000
#define MSR_PERF_CTR0        0xc0010004
#define MSR_AMD_EVNTSEL(n)   (0xc0010000 + (n)) /* performance counters, n = 0 to 3 */
#define MSR_AMD_PERFCTR(n)   (0xc0010004 + (n))
#define MSR_AMD_SYSCFG       0xc0010010
#define MSR_AMD_HWCR         0xc0010015
#define MSR_AMD_TOP_MEM      0xc001001a
#define MSR_AMD_TOP_MEM2     0xc001001d
#define MSR_AMD_PATCH_LEVEL  0x8b
#define MSR_AMD_TSC_RATIO    0xc0000104
#define MSR_VM_CR            0xc0010114
#define MSR_VM_IGNNE         0xc0010115
#define MSR_VM_HSAVE_PA      0xc0010117
#define MSR_SVM_KEY          0xc0010118
#define MSR_AMD_NB_CFG       0xc001001f
#define MSR_AMD_PATCH_LOADER 0xc0010020
#define MSR_AMD_INT_PENDING  0xc0010055 /* and CMP-halt */
#define MSR_AMD_TSEG_ADDR    0xc0010112
#define MSR_AMD_TSEG_MASK    0xc0010113
#define MSR_AMD_LS_CFG       0xc0011020
#define MSR_AMD_IC_CFG       0xc0011021
#define MSR_AMD_DC_CFG       0xc0011022
#define MSR_AMD_DE_CFG       0xc0011029
#define MSR_AMD_BU_CFG2      0xc001102a

#define INT_PENDING_SMI_ON_HALT BIT_ULL(27) /* when all cores have halted ... */
#define INT_PENDING_C1E_ON_HALT BIT_ULL(28) /* ... C1E is entered, by SMM or at once */
#define DC_CFG_TLB_MULTIMATCH   BIT_ULL(47) /* revision guide of family 10h, erratum 383 */

#define VM_CR_DPD      BIT_ULL(0)
#define VM_CR_R_INIT   BIT_ULL(1)
#define VM_CR_DIS_A20M BIT_ULL(2)
#define VM_CR_LOCK     BIT_ULL(3)
#define VM_CR_SVMDIS   BIT_ULL(4)

/* Intel VMX: SDM volume 3, appendix A */
#define FEATURE_CONTROL_LOCK        BIT_ULL(0)
#define FEATURE_CONTROL_VMX_SMX     BIT_ULL(1)
#define FEATURE_CONTROL_VMX         BIT_ULL(2)
#define MSR_VMX_BASIC               0x480
#define MSR_VMX_PINBASED_CTLS       0x481
#define MSR_VMX_PROCBASED_CTLS      0x482
#define MSR_VMX_EXIT_CTLS           0x483
#define MSR_VMX_ENTRY_CTLS          0x484
#define MSR_VMX_MISC                0x485
#define MSR_VMX_CR0_FIXED0          0x486
#define MSR_VMX_CR0_FIXED1          0x487
#define MSR_VMX_CR4_FIXED0          0x488
#define MSR_VMX_CR4_FIXED1          0x489
#define MSR_VMX_VMCS_ENUM           0x48a
#define MSR_VMX_PROCBASED_CTLS2     0x48b
#define MSR_VMX_EPT_VPID_CAP        0x48c
#define MSR_VMX_TRUE_PINBASED_CTLS  0x48d
#define MSR_VMX_TRUE_PROCBASED_CTLS 0x48e
#define MSR_VMX_TRUE_EXIT_CTLS      0x48f
#define MSR_VMX_TRUE_ENTRY_CTLS     0x490
#define MSR_VMX_VMFUNC              0x491

#endif
