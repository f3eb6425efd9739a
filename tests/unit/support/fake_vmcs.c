/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/support/fake_vmcs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ENCODING(name, encoding) (encoding),
static const uint32_t encodings[] = {VMCS_FIELDS(ENCODING)};

uint32_t fake_vmcs_encoding(unsigned n)
{
	return encodings[n];
}

static unsigned index_of(uint32_t field)
{
	for (unsigned i = 0; i < FAKE_VMCS_FIELDS; i++)
		if (encodings[i] == field)
			return i;
	fail_msg("there is no VMCS field %#x", field);
	return 0;
}

uint64_t fake_vmcs_get(const struct fake_vmcs *v, uint32_t field)
{
	return v->fields[index_of(field)];
}

/* Bits 14:13 of an encoding are the field's width. */
void fake_vmcs_set(struct fake_vmcs *v, uint32_t field, uint64_t val)
{
	static const uint64_t mask[] = {0xffff, ~0ull, 0xffffffff, ~0ull};

	v->fields[index_of(field)] = val & mask[field >> 13 & 3];
}
