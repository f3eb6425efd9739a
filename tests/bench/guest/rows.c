/* SPDX-License-Identifier: BSD-2-Clause */
/* See rows.h. */
#include "tests/bench/guest/rows.h"

#include "ktap.h"
#include "paging.h"

#define MAX_ROWS   160
#define FOR_TABLES (12ul << 20) /* left to page_alloc() below the arena */

static struct {
	const char *name;
	uint64_t total, n;
} rows[MAX_ROWS];
static unsigned nr_rows;

void row(const char *name, uint64_t total, uint64_t n)
{
	mark_end();
	if (nr_rows == MAX_ROWS)
		bail_out("more rows than there is room for");
	rows[nr_rows].name = name;
	rows[nr_rows].total = total;
	rows[nr_rows].n = n;
	nr_rows++;
}

void print_rows(void)
{
	for (unsigned i = 0; i < nr_rows; i++) {
		uint64_t tenths = rows[i].total * 10 / rows[i].n;

		printf("%-24s %12llu %8llu %10llu.%llu\n", rows[i].name,
		       (unsigned long long)rows[i].total, (unsigned long long)rows[i].n,
		       (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10));
	}
}

/* Fixed by the first call: what page_alloc() gives later lies below. */
unsigned long arena(void)
{
	static unsigned long start;
	unsigned long first, end;

	if (!start) {
		pages_rest(&first, &end);
		start = (first + FOR_TABLES + SIZE_2M - 1) & ~(SIZE_2M - 1);
	}
	return start;
}

unsigned long arena_bytes(void)
{
	unsigned long first, end, start = arena();

	pages_rest(&first, &end);
	return end > start ? (end - start) & ~(SIZE_2M - 1) : 0;
}
