/* SPDX-License-Identifier: BSD-2-Clause */
/* A VMCS that is an array: the fields of vmcs.h, each as wide as its encoding says. */
#ifndef TESTS_UNIT_SUPPORT_FAKE_VMCS_H
#define TESTS_UNIT_SUPPORT_FAKE_VMCS_H

#include "arch/x86/vmx/vmcs.h"

#define FAKE_INDEX(name, encoding) FAKE_##name,
enum { VMCS_FIELDS(FAKE_INDEX) FAKE_VMCS_FIELDS };
#undef FAKE_INDEX

struct fake_vmcs {
	uint64_t fields[FAKE_VMCS_FIELDS];
};

/* The encoding of the n-th field. */
uint32_t fake_vmcs_encoding(unsigned n);
/* Both fail the test if there is no such field. */
uint64_t fake_vmcs_get(const struct fake_vmcs *v, uint32_t field);
void fake_vmcs_set(struct fake_vmcs *v, uint32_t field, uint64_t val);

#endif
