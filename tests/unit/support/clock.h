/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock of the hosted tests: it stands still until a test moves it. TSC: 1 GHz from 0. */
#ifndef TESTS_UNIT_SUPPORT_CLOCK_H
#define TESTS_UNIT_SUPPORT_CLOCK_H

#include "lib/clock.h"

void clock_set_ns(uint64_t ns);
void clock_advance_ns(uint64_t ns);

#endif
