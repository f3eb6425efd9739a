/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers that are the same in each run: from a fixed seed, or from seed=N on the command
 * line. The first use prints the seed.
 */
#ifndef GUEST_RANDOM_H
#define GUEST_RANDOM_H

#include "x86.h"

uint64_t random64(void);
void random_fill(void *buf, size_t len);

#endif
