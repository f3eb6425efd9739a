/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual-machine control structure: encodings of its fields (Intel SDM volume 3, appendix B),
 * the bits of its controls (chapter "Virtual Machine Control Structures") and exit reasons
 * (appendix C).
 */
#ifndef ARCH_X86_VMX_VMCS_H
#define ARCH_X86_VMX_VMCS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"

/*
 * X(name, encoding), in the order of the encodings. Bits 14:13 are the width (0: 16 bits, 1: 64,
 * 2: 32, 3: natural), bits 11:10 the type (0: control, 1: read-only data, 2: guest, 3: host).
 */
#define VMCS_FIELDS(X)                                                                             \
	X(VPID, 0x0000)                                                                            \
	X(GUEST_ES_SELECTOR, 0x0800)                                                               \
	X(GUEST_CS_SELECTOR, 0x0802)                                                               \
	X(GUEST_SS_SELECTOR, 0x0804)                                                               \
	X(GUEST_DS_SELECTOR, 0x0806)                                                               \
	X(GUEST_FS_SELECTOR, 0x0808)                                                               \
	X(GUEST_GS_SELECTOR, 0x080a)                                                               \
	X(GUEST_LDTR_SELECTOR, 0x080c)                                                             \
	X(GUEST_TR_SELECTOR, 0x080e)                                                               \
	X(GUEST_PML_INDEX, 0x0812)                                                                 \
	X(HOST_ES_SELECTOR, 0x0c00)                                                                \
	X(HOST_CS_SELECTOR, 0x0c02)                                                                \
	X(HOST_SS_SELECTOR, 0x0c04)                                                                \
	X(HOST_DS_SELECTOR, 0x0c06)                                                                \
	X(HOST_FS_SELECTOR, 0x0c08)                                                                \
	X(HOST_GS_SELECTOR, 0x0c0a)                                                                \
	X(HOST_TR_SELECTOR, 0x0c0c)                                                                \
	X(IO_BITMAP_A, 0x2000)                                                                     \
	X(IO_BITMAP_B, 0x2002)                                                                     \
	X(MSR_BITMAP, 0x2004)                                                                      \
	X(EXIT_MSR_STORE_ADDR, 0x2006)                                                             \
	X(EXIT_MSR_LOAD_ADDR, 0x2008)                                                              \
	X(ENTRY_MSR_LOAD_ADDR, 0x200a)                                                             \
	X(PML_ADDRESS, 0x200e)                                                                     \
	X(TSC_OFFSET, 0x2010)                                                                      \
	X(VIRTUAL_APIC_PAGE_ADDR, 0x2012)                                                          \
	X(APIC_ACCESS_ADDR, 0x2014)                                                                \
	X(VM_FUNCTION_CONTROLS, 0x2018)                                                            \
	X(EPT_POINTER, 0x201a)                                                                     \
	X(EPTP_LIST_ADDR, 0x2024)                                                                  \
	X(VMREAD_BITMAP, 0x2026)                                                                   \
	X(VMWRITE_BITMAP, 0x2028)                                                                  \
	X(VIRTUALIZATION_EXCEPTION_ADDR, 0x202a)                                                   \
	X(XSS_EXIT_BITMAP, 0x202c)                                                                 \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                          \
	X(VMCS_LINK_POINTER, 0x2800)                                                               \
	X(GUEST_IA32_DEBUGCTL, 0x2802)                                                             \
	X(GUEST_IA32_PAT, 0x2804)                                                                  \
	X(GUEST_IA32_EFER, 0x2806)                                                                 \
	X(GUEST_PDPTE0, 0x280a)                                                                    \
	X(GUEST_PDPTE1, 0x280c)                                                                    \
	X(GUEST_PDPTE2, 0x280e)                                                                    \
	X(GUEST_PDPTE3, 0x2810)                                                                    \
	X(HOST_IA32_PAT, 0x2c00)                                                                   \
	X(HOST_IA32_EFER, 0x2c02)                                                                  \
	X(PIN_BASED_CONTROLS, 0x4000)                                                              \
	X(PRIMARY_PROCESSOR_CONTROLS, 0x4002)                                                      \
	X(EXCEPTION_BITMAP, 0x4004)                                                                \
	X(PAGE_FAULT_ERROR_CODE_MASK, 0x4006)                                                      \
	X(PAGE_FAULT_ERROR_CODE_MATCH, 0x4008)                                                     \
	X(CR3_TARGET_COUNT, 0x400a)                                                                \
	X(EXIT_CONTROLS, 0x400c)                                                                   \
	X(EXIT_MSR_STORE_COUNT, 0x400e)                                                            \
	X(EXIT_MSR_LOAD_COUNT, 0x4010)                                                             \
	X(ENTRY_CONTROLS, 0x4012)                                                                  \
	X(ENTRY_MSR_LOAD_COUNT, 0x4014)                                                            \
	X(ENTRY_INTERRUPTION_INFO, 0x4016)                                                         \
	X(ENTRY_EXCEPTION_ERROR_CODE, 0x4018)                                                      \
	X(ENTRY_INSTRUCTION_LENGTH, 0x401a)                                                        \
	X(TPR_THRESHOLD, 0x401c)                                                                   \
	X(SECONDARY_PROCESSOR_CONTROLS, 0x401e)                                                    \
	X(VM_INSTRUCTION_ERROR, 0x4400)                                                            \
	X(EXIT_REASON, 0x4402)                                                                     \
	X(EXIT_INTERRUPTION_INFO, 0x4404)                                                          \
	X(EXIT_INTERRUPTION_ERROR_CODE, 0x4406)                                                    \
	X(IDT_VECTORING_INFO, 0x4408)                                                              \
	X(IDT_VECTORING_ERROR_CODE, 0x440a)                                                        \
	X(EXIT_INSTRUCTION_LENGTH, 0x440c)                                                         \
	X(EXIT_INSTRUCTION_INFO, 0x440e)                                                           \
	X(GUEST_ES_LIMIT, 0x4800)                                                                  \
	X(GUEST_CS_LIMIT, 0x4802)                                                                  \
	X(GUEST_SS_LIMIT, 0x4804)                                                                  \
	X(GUEST_DS_LIMIT, 0x4806)                                                                  \
	X(GUEST_FS_LIMIT, 0x4808)                                                                  \
	X(GUEST_GS_LIMIT, 0x480a)                                                                  \
	X(GUEST_LDTR_LIMIT, 0x480c)                                                                \
	X(GUEST_TR_LIMIT, 0x480e)                                                                  \
	X(GUEST_GDTR_LIMIT, 0x4810)                                                                \
	X(GUEST_IDTR_LIMIT, 0x4812)                                                                \
	X(GUEST_ES_ACCESS_RIGHTS, 0x4814)                                                          \
	X(GUEST_CS_ACCESS_RIGHTS, 0x4816)                                                          \
	X(GUEST_SS_ACCESS_RIGHTS, 0x4818)                                                          \
	X(GUEST_DS_ACCESS_RIGHTS, 0x481a)                                                          \
	X(GUEST_FS_ACCESS_RIGHTS, 0x481c)                                                          \
	X(GUEST_GS_ACCESS_RIGHTS, 0x481e)                                                          \
	X(GUEST_LDTR_ACCESS_RIGHTS, 0x4820)                                                        \
	X(GUEST_TR_ACCESS_RIGHTS, 0x4822)                                                          \
	X(GUEST_INTERRUPTIBILITY, 0x4824)                                                          \
	X(GUEST_ACTIVITY_STATE, 0x4826)                                                            \
	X(GUEST_IA32_SYSENTER_CS, 0x482a)                                                          \
	X(PREEMPTION_TIMER_VALUE, 0x482e)                                                          \
	X(HOST_IA32_SYSENTER_CS, 0x4c00)                                                           \
	X(CR0_GUEST_HOST_MASK, 0x6000)                                                             \
	X(CR4_GUEST_HOST_MASK, 0x6002)                                                             \
	X(CR0_READ_SHADOW, 0x6004)                                                                 \
	X(CR4_READ_SHADOW, 0x6006)                                                                 \
	X(EXIT_QUALIFICATION, 0x6400)                                                              \
	X(GUEST_LINEAR_ADDRESS, 0x640a)                                                            \
	X(GUEST_CR0, 0x6800)                                                                       \
	X(GUEST_CR3, 0x6802)                                                                       \
	X(GUEST_CR4, 0x6804)                                                                       \
	X(GUEST_ES_BASE, 0x6806)                                                                   \
	X(GUEST_CS_BASE, 0x6808)                                                                   \
	X(GUEST_SS_BASE, 0x680a)                                                                   \
	X(GUEST_DS_BASE, 0x680c)                                                                   \
	X(GUEST_FS_BASE, 0x680e)                                                                   \
	X(GUEST_GS_BASE, 0x6810)                                                                   \
	X(GUEST_LDTR_BASE, 0x6812)                                                                 \
	X(GUEST_TR_BASE, 0x6814)                                                                   \
	X(GUEST_GDTR_BASE, 0x6816)                                                                 \
	X(GUEST_IDTR_BASE, 0x6818)                                                                 \
	X(GUEST_DR7, 0x681a)                                                                       \
	X(GUEST_RSP, 0x681c)                                                                       \
	X(GUEST_RIP, 0x681e)                                                                       \
	X(GUEST_RFLAGS, 0x6820)                                                                    \
	X(GUEST_PENDING_DEBUG_EXCEPTIONS, 0x6822)                                                  \
	X(GUEST_IA32_SYSENTER_ESP, 0x6824)                                                         \
	X(GUEST_IA32_SYSENTER_EIP, 0x6826)                                                         \
	X(HOST_CR0, 0x6c00)                                                                        \
	X(HOST_CR3, 0x6c02)                                                                        \
	X(HOST_CR4, 0x6c04)                                                                        \
	X(HOST_FS_BASE, 0x6c06)                                                                    \
	X(HOST_GS_BASE, 0x6c08)                                                                    \
	X(HOST_TR_BASE, 0x6c0a)                                                                    \
	X(HOST_GDTR_BASE, 0x6c0c)                                                                  \
	X(HOST_IDTR_BASE, 0x6c0e)                                                                  \
	X(HOST_IA32_SYSENTER_ESP, 0x6c10)                                                          \
	X(HOST_IA32_SYSENTER_EIP, 0x6c12)                                                          \
	X(HOST_RSP, 0x6c14)                                                                        \
	X(HOST_RIP, 0x6c16)

#define VMCS_ENUM(name, encoding) VMCS_##name = (encoding),
enum vmcs_field { VMCS_FIELDS(VMCS_ENUM) };
#undef VMCS_ENUM

/* Pin-based controls. */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)

/* Primary processor-based controls. */
#define PROC_INTERRUPT_WINDOW BIT(2)
#define PROC_TSC_OFFSETTING   BIT(3)
#define PROC_HLT              BIT(7)
#define PROC_INVLPG           BIT(9)
#define PROC_MWAIT            BIT(10)
#define PROC_RDPMC            BIT(11)
#define PROC_RDTSC            BIT(12)
#define PROC_CR3_LOAD         BIT(15)
#define PROC_CR3_STORE        BIT(16)
#define PROC_CR8_LOAD         BIT(19)
#define PROC_CR8_STORE        BIT(20)
#define PROC_TPR_SHADOW       BIT(21)
#define PROC_NMI_WINDOW       BIT(22)
#define PROC_MOV_DR           BIT(23)
#define PROC_UNCONDITIONAL_IO BIT(24)
#define PROC_IO_BITMAPS       BIT(25)
#define PROC_MONITOR_TRAP     BIT(27)
#define PROC_MSR_BITMAPS      BIT(28)
#define PROC_MONITOR          BIT(29)
#define PROC_PAUSE            BIT(30)
#define PROC_SECONDARY        BIT(31)

/* Secondary processor-based controls. */
#define PROC2_VIRTUAL_APIC       BIT(0)
#define PROC2_EPT                BIT(1)
#define PROC2_DESCRIPTOR_TABLE   BIT(2)
#define PROC2_RDTSCP             BIT(3)
#define PROC2_X2APIC_MODE        BIT(4)
#define PROC2_VPID               BIT(5)
#define PROC2_WBINVD             BIT(6)
#define PROC2_UNRESTRICTED_GUEST BIT(7)
#define PROC2_APIC_REGISTERS     BIT(8)
#define PROC2_VIRTUAL_INTERRUPTS BIT(9)
#define PROC2_INVPCID            BIT(12)
#define PROC2_VMFUNC             BIT(13)
#define PROC2_VMCS_SHADOWING     BIT(14)
#define PROC2_PML                BIT(17)
#define PROC2_EPT_VE             BIT(18)
#define PROC2_XSAVES             BIT(20)
#define PROC2_USER_WAIT          BIT(26)

/* VM-exit controls. */
#define EXIT_SAVE_DEBUG      BIT(2)
#define EXIT_HOST_64BIT      BIT(9)
#define EXIT_ACK_INTERRUPT   BIT(15)
#define EXIT_SAVE_PAT        BIT(18)
#define EXIT_LOAD_PAT        BIT(19)
#define EXIT_SAVE_EFER       BIT(20)
#define EXIT_LOAD_EFER       BIT(21)
#define EXIT_SAVE_PREEMPTION BIT(22)

/* VM-entry controls. */
#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_IA32E_MODE BIT(9)
#define ENTRY_SMM        BIT(10)
#define ENTRY_DUAL_SMM   BIT(11)
#define ENTRY_LOAD_PAT   BIT(14)
#define ENTRY_LOAD_EFER  BIT(15)

/* VM functions. */
#define VM_FUNCTION_EPTP_SWITCHING BIT_ULL(0)

/* Interruption information: of entries, exits and IDT vectoring. */
#define INTR_VECTOR           GENMASK_ULL(7, 0)
#define INTR_TYPE             GENMASK_ULL(10, 8)
#define INTR_TYPE_EXTERNAL    0
#define INTR_TYPE_NMI         2
#define INTR_TYPE_HARD        3 /* hardware exception */
#define INTR_TYPE_SOFT_INT    4
#define INTR_TYPE_PRIV_SOFT   5 /* INT1 */
#define INTR_TYPE_SOFT_EXCEPT 6 /* INT3, INTO */
#define INTR_TYPE_OTHER       7
#define INTR_ERROR_CODE       BIT(11)
#define INTR_NMI_UNBLOCKED    BIT(12) /* exits: an IRET had ended NMI blocking */
#define INTR_VALID            BIT(31)

/* Interruptibility state. */
#define BLOCKING_BY_STI    BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_SMI    BIT(2)
#define BLOCKING_BY_NMI    BIT(3)
#define BLOCKING_ENCLAVE   BIT(4) /* the event came inside an SGX enclave */

/* Activity state. */
#define ACTIVITY_ACTIVE        0
#define ACTIVITY_HLT           1
#define ACTIVITY_SHUTDOWN      2
#define ACTIVITY_WAIT_FOR_SIPI 3

/* Pending debug exceptions. */
#define PENDING_DEBUG_B0_B3   0xfull
#define PENDING_DEBUG_BLD     BIT_ULL(11) /* a bus lock; CPUs that can detect one */
#define PENDING_DEBUG_ENABLED BIT_ULL(12) /* one of B0 to B3 is enabled in DR7 */
#define PENDING_DEBUG_BS      BIT_ULL(14)
#define PENDING_DEBUG_RTM     BIT_ULL(16)

/* Access rights of a segment: those of its descriptor, and ... */
#define AR_LOW      0x00ffu
#define AR_HIGH     0xf000u
#define AR_UNUSABLE 0x10000u

#define AR_TYPE     0x000fu
#define AR_S        0x0010u
#define AR_DPL      0x0060u
#define AR_P        0x0080u
#define AR_L        0x2000u
#define AR_DB       0x4000u
#define AR_G        0x8000u
#define AR_RESERVED 0xfffe0f00u

/* EPT pointer. */
#define EPTP_MEMTYPE GENMASK_ULL(2, 0)
#define EPTP_WALK    GENMASK_ULL(5, 3) /* levels - 1 */
#define EPTP_UC      0ull
#define EPTP_WB      6ull
#define EPTP_WALK_4  (3ull << 3)
#define EPTP_WALK_5  (4ull << 3)
#define EPTP_AD      BIT_ULL(6)

/* MSR_VMX_BASIC. */
#define VMX_BASIC_REVISION   GENMASK_ULL(30, 0)
#define VMX_BASIC_INS_OUTS   BIT_ULL(54)
#define VMX_BASIC_TRUE_CTLS  BIT_ULL(55)
#define VMX_BASIC_ANY_ERRORS BIT_ULL(56) /* error codes are not checked against vectors */

/* MSR_VMX_MISC. */
#define VMX_MISC_PREEMPTION_SHIFT GENMASK_ULL(4, 0)
#define VMX_MISC_SAVES_LMA        BIT_ULL(5)
#define VMX_MISC_ACTIVITY         GENMASK_ULL(8, 6) /* HLT, shutdown, wait-for-SIPI */
#define VMX_MISC_CR3_TARGETS      GENMASK_ULL(24, 16)
#define VMX_MISC_ZERO_LEN_INJECT  BIT_ULL(30)

/* MSR_VMX_EPT_VPID_CAP. */
#define EPT_CAP_EXEC_ONLY    BIT_ULL(0)
#define EPT_CAP_WALK_4       BIT_ULL(6)
#define EPT_CAP_WALK_5       BIT_ULL(7)
#define EPT_CAP_UC           BIT_ULL(8)
#define EPT_CAP_WB           BIT_ULL(14)
#define EPT_CAP_2M           BIT_ULL(16)
#define EPT_CAP_1G           BIT_ULL(17)
#define EPT_CAP_INVEPT       BIT_ULL(20)
#define EPT_CAP_AD           BIT_ULL(21)
#define EPT_CAP_INVEPT_ONE   BIT_ULL(25)
#define EPT_CAP_INVEPT_ALL   BIT_ULL(26)
#define VPID_CAP_INVVPID     BIT_ULL(32)
#define VPID_CAP_INVVPID_GVA BIT_ULL(40)
#define VPID_CAP_INVVPID_ALL BIT_ULL(42)

/* EPT as the engine needs it: four levels, write-back, 2M pages, INVEPT of one context or of all.
 */
static inline bool vmx_ept_is_usable(uint64_t cap)
{
	uint64_t needed = EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_INVEPT;

	return (cap & needed) == needed && (cap & (EPT_CAP_INVEPT_ONE | EPT_CAP_INVEPT_ALL));
}

static inline bool vmx_vpid_is_usable(uint64_t cap)
{
	return (cap & VPID_CAP_INVVPID) && (cap & VPID_CAP_INVVPID_ALL);
}

/* Types of INVEPT and INVVPID. */
#define INVEPT_ONE  1 /* one EPT pointer */
#define INVEPT_ALL  2
#define INVVPID_GVA 0 /* one linear address of one VPID */
#define INVVPID_ALL 2

/* VM-instruction errors. */
#define VMX_ERROR_CONTROLS   7
#define VMX_ERROR_HOST_STATE 8

/* Exit reasons. */
#define VMX_EXIT_EXCEPTION_NMI      0
#define VMX_EXIT_EXTERNAL_INTERRUPT 1
#define VMX_EXIT_TRIPLE_FAULT       2
#define VMX_EXIT_INIT               3
#define VMX_EXIT_SIPI               4
#define VMX_EXIT_INTERRUPT_WINDOW   7
#define VMX_EXIT_NMI_WINDOW         8
#define VMX_EXIT_TASK_SWITCH        9
#define VMX_EXIT_CPUID              10
#define VMX_EXIT_GETSEC             11
#define VMX_EXIT_HLT                12
#define VMX_EXIT_INVD               13
#define VMX_EXIT_INVLPG             14
#define VMX_EXIT_RDPMC              15
#define VMX_EXIT_RDTSC              16
#define VMX_EXIT_RSM                17
#define VMX_EXIT_VMCALL             18
#define VMX_EXIT_VMCLEAR            19
#define VMX_EXIT_VMLAUNCH           20
#define VMX_EXIT_VMPTRLD            21
#define VMX_EXIT_VMPTRST            22
#define VMX_EXIT_VMREAD             23
#define VMX_EXIT_VMRESUME           24
#define VMX_EXIT_VMWRITE            25
#define VMX_EXIT_VMXOFF             26
#define VMX_EXIT_VMXON              27
#define VMX_EXIT_CR_ACCESS          28
#define VMX_EXIT_MOV_DR             29
#define VMX_EXIT_IO                 30
#define VMX_EXIT_RDMSR              31
#define VMX_EXIT_WRMSR              32
#define VMX_EXIT_INVALID_STATE      33
#define VMX_EXIT_MSR_LOADING        34
#define VMX_EXIT_MWAIT              36
#define VMX_EXIT_MONITOR_TRAP       37
#define VMX_EXIT_MONITOR            39
#define VMX_EXIT_PAUSE              40
#define VMX_EXIT_MACHINE_CHECK      41
#define VMX_EXIT_TPR_THRESHOLD      43
#define VMX_EXIT_EPT_VIOLATION      48
#define VMX_EXIT_EPT_MISCONFIG      49
#define VMX_EXIT_INVEPT             50
#define VMX_EXIT_RDTSCP             51
#define VMX_EXIT_PREEMPTION_TIMER   52
#define VMX_EXIT_INVVPID            53
#define VMX_EXIT_WBINVD             54
#define VMX_EXIT_XSETBV             55
#define VMX_EXIT_INVPCID            58
#define VMX_EXIT_VMFUNC             59
#define VMX_EXIT_ENCLS              60
#define VMX_EXIT_PML_FULL           62
#define VMX_EXIT_XSAVES             63
#define VMX_EXIT_XRSTORS            64
#define VMX_EXIT_UMWAIT             67
#define VMX_EXIT_TPAUSE             68
#define VMX_EXIT_SEAMCALL           76
#define VMX_EXIT_TDCALL             77
#define VMX_NR_EXITS                78
#define VMX_EXIT_ENTRY_FAILURE      BIT(31)

/* Exit qualification of task switches: the sources are those of enum task_source. */
#define QUAL_TASK_SELECTOR GENMASK_ULL(15, 0)
#define QUAL_TASK_SOURCE   GENMASK_ULL(31, 30)

/* Exit qualification of port accesses; bits 5:3 are IO_* of arch/x86/virt.h. */
#define QUAL_IO_SIZE GENMASK_ULL(2, 0) /* bytes - 1 */
#define QUAL_IO_PORT GENMASK_ULL(31, 16)

/* Exit qualification of control-register accesses. */
#define QUAL_CR_NUMBER    GENMASK_ULL(3, 0)
#define QUAL_CR_TYPE      GENMASK_ULL(5, 4)
#define QUAL_CR_TYPE_TO   0
#define QUAL_CR_TYPE_FROM 1
#define QUAL_CR_TYPE_CLTS 2
#define QUAL_CR_TYPE_LMSW 3
#define QUAL_CR_GPR       GENMASK_ULL(11, 8)

/*
 * Instruction information of INVPCID (SDM volume 3, table 27-9). The qualification is the operand's
 * displacement; segments are numbered as enum seg has them.
 */
#define INFO_SCALE        GENMASK_ULL(1, 0)
#define INFO_ADDRESS_SIZE GENMASK_ULL(9, 7) /* 0, 1, 2: 16, 32, 64 bits */
#define INFO_SEGMENT      GENMASK_ULL(17, 15)
#define INFO_INDEX        GENMASK_ULL(21, 18)
#define INFO_NO_INDEX     BIT_ULL(22)
#define INFO_BASE         GENMASK_ULL(26, 23)
#define INFO_NO_BASE      BIT_ULL(27)
#define INFO_REGISTER     GENMASK_ULL(31, 28)

/* Exit qualification of EPT violations. */
#define QUAL_EPT_WRITE        BIT_ULL(1)
#define QUAL_EPT_FETCH        BIT_ULL(2)
#define QUAL_EPT_PERMITTED    GENMASK_ULL(5, 3) /* rights of the entry: 0 if it is not present */
#define QUAL_EPT_LINEAR_VALID BIT_ULL(7)
#define QUAL_EPT_FINAL        BIT_ULL(8) /* not the walk of the guest's tables */
#define QUAL_NMI_UNBLOCKED    BIT_ULL(12)

#endif
