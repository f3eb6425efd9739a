/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_account.pml */
/*
 * A fault that finds its VM's account empty: are pages on their way back, or is there none
 * (ept/internal.h, tdp_is_page_due(); docs/mmu.md, "How many tables")? Two pages, as many as the
 * tree and one more can have; a remover that takes the tree's out and gives it back; a vCPU that
 * builds the tree again meanwhile; and one that wants a page. Atomics are sequentially consistent.
 *
 * Broken: the count of removals that are done is read behind the look at the account, so that one
 * that ended in between counts as none; or a removal says that it begins when it has begun.
 */
#ifndef DONE_FIRST
#define DONE_FIRST 1
#endif
#ifndef BEGIN_FIRST
#define BEGIN_FIRST 1
#endif

byte free = 0;   /* pages that are not charged */
byte due = 0;    /* taken out, still charged */
bool tree = true; /* the tree has its page */
bool held = true; /* somebody holds the other one for a moment, as a reserve does */
byte begun = 0, done = 0;

/* Zap or unmap, twice. */
active proctype remover()
{
	byte n = 0;

	do
	:: n < 2 ->
		if
		:: BEGIN_FIRST -> begun++
		:: else
		fi;
		if
		:: atomic { tree -> tree = false; due++ };
			if
			:: !BEGIN_FIRST -> begun++
			:: else
			fi;
			atomic { due--; free++ };
			done++
		:: atomic { !tree -> skip };
			if
			:: !BEGIN_FIRST -> begun++
			:: else
			fi;
			done++
		fi;
		n++
	:: n == 2 -> break
	od
}

/* The tree comes back out of what is free. */
active proctype builder()
{
	do
	:: atomic { !tree && free > 0 -> free--; tree = true }
	:: atomic { held -> held = false; free++ }
	:: break
	od
}

active proctype fault()
{
	byte d, b;
	bool was_due, none;

	do
	:: true ->
		if
		:: DONE_FIRST -> d = done
		:: else
		fi;
		atomic { none = (free == 0); was_due = (due > 0) };
		if
		:: !DONE_FIRST -> d = done
		:: else
		fi;
		b = begun;
		/* "None is due" ends the VM: it is true. */
		assert(!none || b != d || !was_due)
	:: break
	od
}
