/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of the hypervisor's own functions, for reports. The table is made at link time. */
#ifndef ARCH_X86_SYMBOLS_H
#define ARCH_X86_SYMBOLS_H

#include <stdint.h>

/* The function that has `addr`, and the offset into it; NULL if it is not in the text. */
const char *symbol_find(uint64_t addr, uint64_t *off);

#endif
