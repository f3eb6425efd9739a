/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What sparse must find, one fault in each function: else its silence about the sources would mean
 * nothing. No compiler sees this file.
 */
#include "lib/spinlock.h"

enum phase { WAITING, RUNNING };

static struct spinlock lock = SPINLOCK_INIT;
static _Atomic enum phase phase;

static void is_never_unlocked(void)
{
	spin_lock(&lock);
}

static void is_unlocked_on_one_path(int is_done)
{
	spin_lock(&lock);
	if (is_done)
		return;
	spin_unlock(&lock);
}

static void is_not_unlocked_beside_an_enumeration(void)
{
	spin_lock(&lock);
	if (atomic_load(&phase) == RUNNING)
		atomic_store(&phase, WAITING);
}

static unsigned *is_another_type(unsigned long *p)
{
	return p;
}
