/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The symbol table, as tools/symbols writes it from the first of two links: a count, so many
 * 32-bit offsets from text_start in rising order, then the names, zero-terminated, in the same
 * order.
 */
#include "arch/x86/symbols.h"

#include <stddef.h>
#include <string.h>

#include "arch/x86/layout.h"

extern const struct {
	uint32_t count;
	uint32_t offset[];
} symbol_table;

const char *symbol_find(uint64_t addr, uint64_t *off)
{
	uint64_t start = (uint64_t)text_start;
	const char *name = (const char *)&symbol_table.offset[symbol_table.count];
	uint32_t i;

	if (addr < start || addr >= (uint64_t)text_end || !symbol_table.count ||
	    addr - start < symbol_table.offset[0])
		return NULL;
	for (i = 1; i < symbol_table.count && symbol_table.offset[i] <= addr - start; i++)
		name += strlen(name) + 1;
	*off = addr - start - symbol_table.offset[i - 1];
	return name;
}
