/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty.pml */
/*
 * The dirty log (slot_set_dirty() and slots_get_dirty() of mm/slots.h): CPUs write a page and
 * then note it; a collector takes the note and then copies the page. Writes to the page pass
 * through a store buffer; a locked operation empties it.
 *
 * Checked: after the last collection the copy equals the page.
 * LOCKED 0: who finds the page noted already leaves it at that look, without a locked operation.
 */
#ifndef LOCKED
#define LOCKED 1
#endif

#define WRITERS 2
#define WRITES	3

byte page;		/* what memory has */
byte newest;		/* number of the last write that was made */
bool noted;
byte copy;
byte running = WRITERS;

proctype writer()
{
	byte n, buffer;
	bool buffered;

	do
	:: buffered -> atomic { page = buffer; buffered = false }
	:: n < WRITES && !buffered ->
		atomic { newest++; buffer = newest; buffered = true; n++ };
		if
		:: !LOCKED && noted
		:: !LOCKED && !noted ->
			atomic { page = buffer; buffered = false; noted = true }
		:: LOCKED ->
			atomic {
				if
				:: buffered -> page = buffer; buffered = false
				:: else
				fi;
				noted = true
			}
		fi
	:: n == WRITES && !buffered -> break
	od;
	running--
}

inline collect()
{
	atomic { was_noted = noted; noted = false };
	if
	:: was_noted -> copy = page
	:: else
	fi
}

active proctype collector()
{
	bool was_noted;

	run writer();
	run writer();
	do
	:: running == 0 -> break
	:: collect()
	od;
	collect();
	assert(copy == page)
}
