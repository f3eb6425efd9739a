/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vmx/models.h"

#include "arch/x86/regs.h"
#include "arch/x86/vmx/vmcs.h"

/* Bits that must be 1, and those that may. */
#define ALLOW(must, may) ((uint64_t)(may) << 32 | (must))

#define COMMON                                                                                     \
	.cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xffffffff, .cr4_fixed0 = CR4_VMXE,                \
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE, .debugctl = 0x3, .linear_bits = 48

const struct vmx_limits vmx_penryn = {
	.controls =
		{
			[CTL_PIN] = 0x0000003f00000016,
			[CTL_PROC] = 0xf7f9fffe0401e172,
			[CTL_PROC2] = ALLOW(0, PROC2_VIRTUAL_APIC | PROC2_WBINVD),
			[CTL_EXIT] = 0x0003ffff00036dff,
			[CTL_ENTRY] = 0x00003fff000011ff,
		},
	.basic = 0x001a04000000000d,
	.misc = 0x000403c0,
	.cr4_fixed1 = 0x27ff,
	.physical_bits = 36,
	COMMON,
};

const struct vmx_limits vmx_conroe = {
	.controls =
		{
			[CTL_PIN] = 0x0000003f00000016,
			[CTL_PROC] = 0x65d9fffe0401e172,
			[CTL_EXIT] = 0x0003ffff00036dff,
			[CTL_ENTRY] = 0x00003fff000011ff,
		},
	.basic = 0x001a040000000007,
	.misc = 0x000403c0,
	.cr4_fixed1 = 0x27ff,
	.physical_bits = 36,
	COMMON,
};

const struct vmx_limits vmx_nehalem = {
	.controls =
		{
			[CTL_PIN] = 0x0000007f00000016,
			[CTL_PROC] = 0xf7f9fffe04006172,
			[CTL_PROC2] = 0x0000007f00000000,
			[CTL_EXIT] = 0x007fffff00036dfb,
			[CTL_ENTRY] = 0x0000ffff000011fb,
		},
	.basic = 0x00da04000000000f,
	.misc = 0x000401e5,
	.ept_vpid_cap = 0x00000f0106114141,
	.cr4_fixed1 = 0x27ff,
	.physical_bits = 36,
	COMMON,
};

const struct vmx_limits vmx_alder_lake = {
	.controls =
		{
			[CTL_PIN] = 0x000000ff00000016,
			[CTL_PROC] = 0xfffbfffe04006172,
			[CTL_PROC2] = 0x75d7ffff00000000,
			[CTL_EXIT] = 0x3f7fffff00036dfb,
			[CTL_ENTRY] = 0x0076ffff000011fb,
		},
	.basic = 0x01da100000000018,
	.misc = 0x7004c1e7,
	.ept_vpid_cap = 0x00000f0106f34141,
	.vmfunc = 1,
	.cr4_fixed1 = 0x13ff2fff,
	.physical_bits = 46,
	COMMON,
};

#define KVM_PROC_MAY                                                                               \
	(PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW | PROC_TSC_OFFSETTING | PROC_HLT | PROC_INVLPG |  \
	 PROC_MWAIT | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD | PROC_CR8_STORE |            \
	 PROC_MOV_DR | PROC_UNCONDITIONAL_IO | PROC_IO_BITMAPS | PROC_MONITOR_TRAP |               \
	 PROC_MONITOR | PROC_RDPMC | PROC_RDTSC | PROC_PAUSE | PROC_TPR_SHADOW | PROC_SECONDARY |  \
	 PROC_MSR_BITMAPS | 0x0401e172)
#define KVM_PROC2_MAY                                                                              \
	(PROC2_VIRTUAL_APIC | PROC2_EPT | PROC2_DESCRIPTOR_TABLE | PROC2_RDTSCP |                  \
	 PROC2_X2APIC_MODE | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED_GUEST |                \
	 PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS | PROC2_INVPCID | PROC2_VMFUNC |          \
	 PROC2_VMCS_SHADOWING | PROC2_PML | PROC2_XSAVES)

const struct vmx_limits vmx_in_kvm = {
	.controls =
		{
			[CTL_PIN] = 0x0000007f00000016,
			[CTL_PROC] = ALLOW(0x04006172, KVM_PROC_MAY),
			[CTL_PROC2] = ALLOW(0, KVM_PROC2_MAY),
			[CTL_EXIT] = ALLOW(0x00036dfb,
					   0x00036dff | EXIT_HOST_64BIT | EXIT_ACK_INTERRUPT |
						   EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
						   EXIT_LOAD_EFER | EXIT_SAVE_PREEMPTION),
			[CTL_ENTRY] = ALLOW(0x000011fb, 0x000011ff | ENTRY_IA32E_MODE |
								ENTRY_LOAD_PAT | ENTRY_LOAD_EFER),
		},
	.basic = 0x00d8100011e57ed0,
	.misc = 0x20000165,
	.ept_vpid_cap = 0x00000f0106334141,
	.vmfunc = 1,
	.cr4_fixed1 = 0x3727ff,
	.physical_bits = 46,
	COMMON,
};
