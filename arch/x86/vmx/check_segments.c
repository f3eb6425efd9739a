/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on guest segment registers. */
#include <assert.h>

#include "arch/x86/virt.h"
#include "arch/x86/vmx/check_rules.h"

/* The fields of a segment register: the VMCS has them in the order of enum seg. */
#define SELECTOR(seg) (VMCS_GUEST_ES_SELECTOR + 2 * (uint32_t)(seg))
#define BASE(seg)     (VMCS_GUEST_ES_BASE + 2 * (uint32_t)(seg))
#define LIMIT(seg)    (VMCS_GUEST_ES_LIMIT + 2 * (uint32_t)(seg))
#define RIGHTS(seg)   (VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * (uint32_t)(seg))
static_assert(SELECTOR(SEG_TR) == VMCS_GUEST_TR_SELECTOR && BASE(SEG_TR) == VMCS_GUEST_TR_BASE &&
		      LIMIT(SEG_TR) == VMCS_GUEST_TR_LIMIT &&
		      RIGHTS(SEG_TR) == VMCS_GUEST_TR_ACCESS_RIGHTS,
	      "the fields are in the order of enum seg");

#define SEL_RPL 3u
#define SEL_TI  4u

#define TYPE_DATA_RW    3u  /* expand-up, accessed */
#define TYPE_CODE       8u  /* a code segment, */
#define TYPE_CONFORMING 12u /* a conforming one */

static __cold uint32_t selector(const struct vmx_check *c, enum seg seg)
{
	return (uint32_t)vmx_field(c, SELECTOR(seg));
}

static __cold uint32_t rights(const struct vmx_check *c, enum seg seg)
{
	return (uint32_t)vmx_field(c, RIGHTS(seg));
}

static __cold unsigned type_of(const struct vmx_check *c, enum seg seg)
{
	return rights(c, seg) & AR_TYPE;
}

static __cold unsigned dpl_of(const struct vmx_check *c, enum seg seg)
{
	return FIELD_GET(AR_DPL, rights(c, seg));
}

/* TR and CS are checked as usable ones whatever their unusable bit says. */
static __cold bool is_usable(const struct vmx_check *c, enum seg seg)
{
	return seg == SEG_CS || seg == SEG_TR || !(rights(c, seg) & AR_UNUSABLE);
}

static __cold bool check_selectors(struct vmx_check *c)
{
	uint32_t differ = selector(c, SEG_SS) ^ selector(c, SEG_CS);

	return vmx_require_clear(c, SELECTOR(SEG_TR), SEL_TI, "TI must be 0") &&
	       (!is_usable(c, SEG_LDTR) ||
		vmx_require_clear(c, SELECTOR(SEG_LDTR), SEL_TI, "TI must be 0")) &&
	       vmx_require(c,
			   vmx_guest_is_v86(c) || vmx_guest_is_unrestricted(c) ||
				   !(differ & SEL_RPL),
			   SELECTOR(SEG_SS), "the RPL must be that of CS");
}

static __cold bool check_base(struct vmx_check *c, enum seg seg)
{
	switch (seg) {
	case SEG_LDTR:
		return !is_usable(c, seg) || vmx_require_canonical(c, BASE(seg));
	case SEG_TR:
	case SEG_FS:
	case SEG_GS:
		return vmx_require_canonical(c, BASE(seg));
	default:
		return !is_usable(c, seg) ||
		       vmx_require_clear(c, BASE(seg), GENMASK_ULL(63, 32), "bits 63:32 must be 0");
	}
}

/* Virtual-8086 mode: everything follows from the selector. */
static __cold bool check_v86(struct vmx_check *c, enum seg seg)
{
	return vmx_require(c, vmx_field(c, BASE(seg)) == (uint64_t)selector(c, seg) << 4, BASE(seg),
			   "it must be the selector times 16 in virtual-8086 mode") &&
	       vmx_require(c, vmx_field(c, LIMIT(seg)) == 0xffff, LIMIT(seg),
			   "it must be ffffh in virtual-8086 mode") &&
	       vmx_require(c, rights(c, seg) == 0xf3, RIGHTS(seg),
			   "they must be f3h in virtual-8086 mode");
}

static __cold bool check_code_type(struct vmx_check *c)
{
	unsigned type = type_of(c, SEG_CS);
	bool is_data = type == TYPE_DATA_RW && vmx_guest_is_unrestricted(c);

	return vmx_require(c, is_data || (type & 9) == 9, RIGHTS(SEG_CS),
			   "the type must be 9, 11, 13, 15, or 3 for an unrestricted guest");
}

static __cold bool check_code_dpl(struct vmx_check *c)
{
	unsigned type = type_of(c, SEG_CS), dpl = dpl_of(c, SEG_CS), cpl = dpl_of(c, SEG_SS);

	if (type == TYPE_DATA_RW)
		return vmx_require(c, dpl == 0, RIGHTS(SEG_CS),
				   "the DPL must be 0 if the type is 3");
	if (type < TYPE_CONFORMING)
		return vmx_require(c, dpl == cpl, RIGHTS(SEG_CS), "the DPL must be that of SS");
	return vmx_require(c, dpl <= cpl, RIGHTS(SEG_CS),
			   "the DPL of conforming code must not be above that of SS");
}

static __cold bool check_code(struct vmx_check *c)
{
	return check_code_type(c) && check_code_dpl(c) &&
	       vmx_require(c,
			   !vmx_guest_is_ia32e(c) ||
				   (rights(c, SEG_CS) & (AR_L | AR_DB)) != (AR_L | AR_DB),
			   RIGHTS(SEG_CS), "D/B must be 0 if L is 1 in IA-32e mode");
}

/* Its DPL is the CPL, so it is checked even if the segment is unusable. */
static __cold bool check_stack_dpl(struct vmx_check *c)
{
	unsigned dpl = dpl_of(c, SEG_SS);
	bool is_real = !(vmx_field(c, VMCS_GUEST_CR0) & CR0_PE);

	return vmx_require(c,
			   vmx_guest_is_unrestricted(c) || dpl == (selector(c, SEG_SS) & SEL_RPL),
			   RIGHTS(SEG_SS), "the DPL must be the selector's RPL") &&
	       vmx_require(c, dpl == 0 || (type_of(c, SEG_CS) != TYPE_DATA_RW && !is_real),
			   RIGHTS(SEG_SS), "the DPL must be 0 without CR0.PE, or if CS has type 3");
}

static __cold bool check_stack(struct vmx_check *c)
{
	return (!is_usable(c, SEG_SS) || vmx_require(c, (type_of(c, SEG_SS) & ~4u) == TYPE_DATA_RW,
						     RIGHTS(SEG_SS), "the type must be 3 or 7")) &&
	       check_stack_dpl(c);
}

static __cold bool check_data(struct vmx_check *c, enum seg seg)
{
	unsigned type = type_of(c, seg);

	if (!is_usable(c, seg))
		return true;
	return vmx_require(c, type & 1, RIGHTS(seg), "the type must be an accessed one") &&
	       vmx_require(c, !(type & TYPE_CODE) || (type & 2), RIGHTS(seg),
			   "code must be readable to be data") &&
	       vmx_require(c,
			   vmx_guest_is_unrestricted(c) || type >= TYPE_CONFORMING ||
				   dpl_of(c, seg) >= (selector(c, seg) & SEL_RPL),
			   RIGHTS(seg), "the DPL must not be below the selector's RPL");
}

/* The granularity must fit: with G the limit's low 12 bits are ones, without it is below 1 MB. */
static __cold bool check_granularity(struct vmx_check *c, enum seg seg)
{
	uint64_t limit = vmx_field(c, LIMIT(seg));
	bool g = rights(c, seg) & AR_G;

	return vmx_require(c, !g || (limit & 0xfff) == 0xfff, RIGHTS(seg),
			   "G must be 0: one of the limit's bits 11:0 is") &&
	       vmx_require(c, g || !(limit & 0xfff00000), RIGHTS(seg),
			   "G must be 1: one of the limit's bits 31:20 is");
}

/* What every usable segment keeps to. */
static __cold bool check_common(struct vmx_check *c, enum seg seg)
{
	bool is_system = seg == SEG_LDTR || seg == SEG_TR;

	if (!is_usable(c, seg))
		return true;
	return vmx_require(c, !(rights(c, seg) & AR_S) == is_system, RIGHTS(seg),
			   is_system ? "S must be 0" : "S must be 1") &&
	       vmx_require(c, rights(c, seg) & AR_P, RIGHTS(seg), "P must be 1") &&
	       vmx_require_clear(c, RIGHTS(seg), AR_RESERVED, "bits 11:8 and 31:17 must be 0") &&
	       check_granularity(c, seg);
}

static __cold bool check_own(struct vmx_check *c, enum seg seg)
{
	switch (seg) {
	case SEG_CS:
		return check_code(c);
	case SEG_SS:
		return check_stack(c);
	default:
		return check_data(c, seg);
	}
}

/* TSS: 32- or 64-bit busy (11), or 16-bit busy (3) outside IA-32e mode. */
static __cold bool check_tr(struct vmx_check *c)
{
	unsigned type = type_of(c, SEG_TR);

	return vmx_require_clear(c, RIGHTS(SEG_TR), AR_UNUSABLE, "TR must be usable") &&
	       vmx_require(c, type == 11 || (type == 3 && !vmx_guest_is_ia32e(c)), RIGHTS(SEG_TR),
			   "the type must be 11, or 3 outside IA-32e mode");
}

static __cold bool check_ldtr(struct vmx_check *c)
{
	return !is_usable(c, SEG_LDTR) ||
	       vmx_require(c, type_of(c, SEG_LDTR) == 2, RIGHTS(SEG_LDTR), "the type must be 2");
}

__cold bool vmx_check_guest_segments(struct vmx_check *c)
{
	bool v86 = vmx_guest_is_v86(c);

	if (!check_selectors(c))
		return false;
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		if (v86 ? !check_v86(c, seg)
			: !check_base(c, seg) || !check_own(c, seg) || !check_common(c, seg))
			return false;
	return check_base(c, SEG_LDTR) && check_ldtr(c) && check_common(c, SEG_LDTR) &&
	       check_base(c, SEG_TR) && check_tr(c) && check_common(c, SEG_TR);
}
