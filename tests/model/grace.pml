/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/grace.pml */
/*
 * The grace periods of mm/grace.h: CPUs that read a shared object in their sections, replace it
 * under a lock that is held across grace_wait(), and free the old one after it. Stores of a
 * CPU's word pass through a store buffer, as on x86; a full barrier is what empties it. The
 * numbers are those of the protocol in mm/grace.h.
 *
 * Checked: nobody uses a freed object, and nobody waits for ever (no invalid end state).
 * BARRIER 0: (3) is a plain store. QUIET 0: a CPU that waits is not quiescent itself.
 */
#ifndef BARRIER
#define BARRIER 1
#endif
#ifndef QUIET
#define QUIET 1
#endif

#define CPUS   3
#define ROUNDS 2
#define OBJECTS 4

byte word[CPUS];	/* as the others see it */
bool buffered[CPUS];	/* a store to word[] is still in the CPU's buffer */
byte buffer[CPUS];
byte epoch = 1;
byte shared;		/* index of the object that is published */
byte next_object = 1;
byte updates;
bool freed[OBJECTS];
bool locked;

/* The buffer drains by itself, some time. */
proctype drain(byte me)
{
end:	do
	:: atomic { buffered[me] -> word[me] = buffer[me]; buffered[me] = false }
	od
}

inline barrier(me)
{
	atomic {
		if
		:: buffered[me] -> word[me] = buffer[me]; buffered[me] = false
		:: else
		fi
	}
}

/* A store waits for the one before it, so that one place in the buffer is enough. */
inline store(me, val)
{
	atomic { !buffered[me] -> buffer[me] = val; buffered[me] = true }
}

inline enter_guest(me)
{
	store(me, 0)				/* (1) */
}

inline exit_guest(me)
{
	e = epoch;				/* (2) */
	store(me, e);				/* (3) */
	if
	:: BARRIER -> barrier(me)
	:: else
	fi
}

inline read_section()
{
	object = shared;
	assert(!freed[object]);
	assert(!freed[object])			/* and still later */
}

inline take_lock(me)
{
	if
	:: QUIET -> enter_guest(me)
	:: else
	fi;
	atomic { !locked -> locked = true };
	if
	:: QUIET -> exit_guest(me)
	:: else
	fi
}

inline wait_for_grace_period(me)
{
	if
	:: QUIET -> enter_guest(me)
	:: else
	fi;
	barrier(me);
	atomic { epoch++; target = epoch };	/* (B) */
	i = 0;
	do
	:: i == CPUS -> break
	:: i != CPUS && i == me -> i++		/* it holds no reference by contract */
	:: i != CPUS && i != me ->
		(word[i] == 0 || word[i] >= target);	/* (C) */
		i++
	od;
	if
	:: QUIET -> exit_guest(me)
	:: else
	fi
}

inline update(me)
{
	take_lock(me);
	old = shared;
	shared = next_object;			/* (A) */
	next_object++;
	wait_for_grace_period(me);
	freed[old] = true;
	locked = false
}

proctype cpu(byte me)
{
	byte e, object, old, target, i, round;

	do
	:: round == ROUNDS -> break
	:: else ->
		exit_guest(me);
		read_section();
		if
		:: atomic { updates < OBJECTS - 2 -> updates++ };
			update(me);
			read_section()
		:: true
		fi;
		enter_guest(me);
		round++
	od
}

init {
	byte n;

	atomic {
		do
		:: n == CPUS -> break
		:: else -> run cpu(n); run drain(n); n++
		od
	}
}
