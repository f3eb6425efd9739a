/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/grace_calls.pml */
/*
 * CPUs that wait for deferred calls of each other (grace_round() in mm/grace.h, tdp_destroy() in
 * ept/tdp.c): each ends a VM, a tree of which the other CPU was the last to leave. The barriers of the
 * protocol are the matter of grace.pml; here each step is seen by all at once.
 *
 * Checked: nobody waits for ever (no invalid end state).
 * ROUND 0: who has no deferred call of its own just looks again.
 */
#ifndef ROUND
#define ROUND 1
#endif

#define CPUS 2

#define NONE    0
#define NEXT    1	/* without an epoch yet */
#define WAITING 2	/* for `target` */

byte word[CPUS];
byte epoch = 1;
byte call[CPUS];	/* the CPU's deferred call: frees the tree of the other's VM */
byte target[CPUS];
bool dying[CPUS];	/* the tree of the VM that this CPU ends */

#define is_over(t) ((word[0] == 0 || word[0] >= t) && (word[1] == 0 || word[1] >= t))

inline poll(me)
{
	atomic {
		if
		:: call[me] == WAITING && is_over(target[me]) -> call[me] = NONE; dying[1 - me] = false
		:: call[me] == NEXT -> epoch++; target[me] = epoch; call[me] = WAITING
		:: else
		fi
	}
}

/* That the wait begins an epoch of its own does not matter here, and the states stay finite. */
inline round(me)
{
	word[me] = 0;
	atomic { since = epoch };
	is_over(since);
	word[me] = epoch;
	poll(me)
}

proctype cpu(byte me)
{
	byte since;

	word[me] = epoch;
	call[me] = NEXT;
	do
	:: !dying[me] -> break
	:: dying[me] && (ROUND || call[me] != NONE) -> round(me)
	od;
	/* The run loop, until its call is made. */
	do
	:: call[me] == NONE -> break
	:: else -> word[me] = 0; word[me] = epoch; poll(me)
	od;
	word[me] = 0
}

init {
	atomic {
		dying[0] = true;
		dying[1] = true;
		run cpu(0);
		run cpu(1)
	}
}
