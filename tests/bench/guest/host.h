/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark guest asks of its host: by hypercalls on Umbra (with dirtylog=on), by a port
 * on KVM (tests/bench/kvm/runner.c).
 */
#ifndef BENCH_GUEST_HOST_H
#define BENCH_GUEST_HOST_H

#include <stdbool.h>

bool host_answers(void);

/* Drop all translations of this VM. */
void host_zap(void);

/* The log of this VM's writes; collect: that of all its memory. */
void host_dirty_start(void);
void host_dirty_collect(void);
void host_dirty_stop(void);

#endif
