/* SPDX-License-Identifier: BSD-2-Clause */
/* The comparison of two CPUs' TSCs. Hosted too. */
#include "arch/x86/tsc_meet.h"

#include "lib/bits.h"
#include "lib/spinlock.h" /* cpu_relax() */

int64_t tsc_meet_ask(struct tsc_meeting *m, uint64_t (*now)(void))
{
	int64_t least = INT64_MIN, most = INT64_MAX;

	for (unsigned round = 1; round <= TSC_MEET_ROUNDS; round++) {
		uint64_t before = now();

		atomic_store(&m->round, round);
		while (atomic_load(&m->answered) != round)
			cpu_relax();
		least = max(least, (int64_t)(m->answer - now()));
		most = min(most, (int64_t)(m->answer - before));
	}
	return least > 0 ? least : most < 0 ? most : 0;
}

void tsc_meet_answer(struct tsc_meeting *m, uint64_t (*now)(void))
{
	for (unsigned round = 1; round <= TSC_MEET_ROUNDS; round++) {
		while (atomic_load(&m->round) != round)
			cpu_relax();
		m->answer = now();
		atomic_store(&m->answered, round);
	}
}
