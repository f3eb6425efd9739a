/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In front of every hosted source: each PAUSE, and so each turn of a spin on a lock or of a wait
 * for a grace period, is a call, from which a test may let another of its CPUs run.
 */
#ifndef TESTS_UNIT_SUPPORT_RELAX_H
#define TESTS_UNIT_SUPPORT_RELAX_H

void host_relax(void);
#define __builtin_ia32_pause host_relax

#endif
