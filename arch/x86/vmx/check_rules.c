/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules that many VM-entry checks are made of: see check_rules.h. */
#include "arch/x86/vmx/check_rules.h"

__cold const char *vmcs_field_name(uint32_t field)
{
#define FIELD_NAME(name, encoding)                                                                 \
	case encoding:                                                                             \
		return #name;

	switch (field) {
		VMCS_FIELDS(FIELD_NAME)
	default:
		return "?";
	}
#undef FIELD_NAME
}

__cold bool vmx_require(struct vmx_check *c, bool ok, uint32_t field, const char *rule)
{
	if (!ok)
		*c->fault = (struct vmx_fault){
			.field = field,
			.name = vmcs_field_name(field),
			.value = vmx_field(c, field),
			.rule = rule,
			.about = c->about,
		};
	return ok;
}

__cold bool vmx_require_clear(struct vmx_check *c, uint32_t field, uint64_t bits, const char *rule)
{
	return vmx_require(c, !(vmx_field(c, field) & bits), field, rule);
}

__cold bool vmx_require_fixed(struct vmx_check *c, uint32_t field, uint64_t one, uint64_t may,
			      uint64_t ignored)
{
	uint64_t val = vmx_field(c, field);

	return vmx_require(c, !(one & ~val & ~ignored), field,
			   "a bit that this CPU needs at 1 is 0") &&
	       vmx_require(c, !(val & ~may & ~ignored), field,
			   "a bit that this CPU needs at 0 is 1");
}

__cold bool vmx_is_canonical(const struct vmx_check *c, uint64_t address)
{
	uint64_t upper = address >> (c->limits->linear_bits - 1);

	return upper == 0 || upper == ~0ull >> (c->limits->linear_bits - 1);
}

__cold bool vmx_require_canonical(struct vmx_check *c, uint32_t field)
{
	return vmx_require(c, vmx_is_canonical(c, vmx_field(c, field)), field,
			   "the address must be canonical");
}

__cold uint64_t vmx_beyond_physical(const struct vmx_check *c)
{
	return ~0ull << c->limits->physical_bits;
}

__cold bool vmx_require_address(struct vmx_check *c, uint32_t field, uint64_t align)
{
	return vmx_require_clear(c, field, align - 1, "the address must be aligned") &&
	       vmx_require_clear(c, field, vmx_beyond_physical(c),
				 "the address is beyond the CPU's physical addresses");
}

static bool is_pat_type(uint8_t type)
{
	return type <= MEMTYPE_UC_MINUS && type != 2 && type != 3;
}

__cold bool vmx_require_pat(struct vmx_check *c, uint32_t field)
{
	uint64_t pat = vmx_field(c, field);
	bool ok = true;

	for (unsigned i = 0; i < 8; i++)
		ok = ok && is_pat_type((uint8_t)(pat >> (8 * i)));
	return vmx_require(c, ok, field, "each byte must be a memory type");
}
