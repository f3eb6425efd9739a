/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick.pml */
/*
 * Requests to a vCPU, and when its CPU is kicked for them (vmm/vcpu.h, vmm/turn.h). CPU 0 has two
 * vCPUs: X, which a requester on another CPU asks for something, and W, another VM's. A guest in
 * guest mode runs for ever unless a kick comes, its time slice ends or it halts. The claims, in every
 * state in which nothing more happens by itself:
 *
 *  - X is not in guest mode, nor is the CPU halted, with a request of X's that nobody has looked at;
 *  - X does not wait, woken, while W runs and no earlier end of W's turn has been asked for.
 *
 * The letters are those of the two headers: A the bit, F is X loaded, B the mode, C the CPU says that
 * it is in guest mode, D it looks at the bits, E it loads.
 */
#ifndef BITS_FIRST
#define BITS_FIRST 1 /* A before F and B */
#endif
#ifndef MODE_FIRST
#define MODE_FIRST 1 /* C before D */
#endif
#ifndef LOAD_FIRST
#define LOAD_FIRST 1 /* E before D */
#endif
#ifndef LOCKED
#define LOCKED 1 /* the pick, and the waker's look at whose turn it is, under the CPU's lock */
#endif
#ifndef IDLE_KICK
#define IDLE_KICK 1 /* an idle CPU is kicked whatever is loaded */
#endif

#ifndef STATE_READ
#define STATE_READ 1 /* G: a vCPU that is loaded, but halted, may have had its turn: another runs next */
#endif

mtype = { BUSY, GUEST, IDLE };
#define NONE 0
#define X    1
#define W    2

mtype mode = BUSY;
byte loaded = NONE, running = NONE;
bool request = false; /* a bit of X's */
bool x_runs = true;   /* X is runnable, and not halted */
bool w_runs = true;
bool preempt = false; /* W's turn is to end earlier */
bool kick = false;    /* the IPI is on its way */
byte asked = 0;       /* requests that the requester has finished with */
bool lock = false;
bool w_short = false; /* ... and W's CPU knows */

inline take()    { if :: LOCKED -> atomic { !lock -> lock = true } :: else fi }
inline release() { if :: LOCKED -> lock = false :: else fi }

/* --- the requester, twice: X may halt between --- */

active proctype requester()
{
	byte n;
	bool was_set, is_loaded, sooner, halted;

	for (n : 1 .. 2) {
		sooner = false;
		if
		:: BITS_FIRST -> atomic { was_set = request; request = true }
		:: else -> skip
		fi;
		is_loaded = (loaded == X);
		halted = !x_runs;
		if
		:: BITS_FIRST && was_set -> goto done /* who set it has kicked */
		:: else
		fi;
		if
		:: is_loaded && (!halted || !STATE_READ) -> if :: mode != BUSY -> kick = true :: else fi
		:: (!is_loaded || (halted && STATE_READ)) && IDLE_KICK && mode == IDLE -> kick = true
		:: else ->
			if
			:: halted ->
				take();
				if :: running == W -> sooner = true; preempt = true :: else fi;
				release();
				if :: sooner && mode != BUSY -> kick = true :: else fi
			:: else
			fi
		fi;
done:
		if
		:: !BITS_FIRST -> request = true
		:: else
		fi;
		asked++
	}
}

/* --- CPU 0 --- */

#define X_READY (request || x_runs)

active proctype cpu()
{
	byte v;
	bool saw;

round:
	mode = BUSY;
	kick = false;
	/* The pick. Which of two that are ready comes first is the virtual times' affair: either. */
	take();
	preempt = false;
	w_short = false;
	saw = X_READY;
	if
	:: saw -> v = X
	:: w_runs -> v = W
	:: !saw && !w_runs -> v = NONE
	fi;
	running = v;
	w_short = (saw && !x_runs); /* who woke is seen here, and W's turn is short from the start */
	release();
	if
	:: v == NONE -> goto idle
	:: v != NONE && LOAD_FIRST -> loaded = v /* E */
	:: else
	fi;
enter:
	if
	:: MODE_FIRST -> mode = GUEST; saw = (v == X && request) || (v == W && preempt && !w_short)
	:: else -> saw = (v == X && request) || (v == W && preempt && !w_short); mode = GUEST
	fi;
	loaded = v;
	if
	:: saw -> mode = BUSY; goto serve
	:: else
	fi;
end_guest:
	if
	:: kick -> kick = false; mode = BUSY; goto serve
	:: v == X -> /* it halts */
		mode = BUSY;
		x_runs = false;
		if :: request -> goto serve :: else -> goto put fi
	:: v == W -> mode = BUSY; w_runs = false; goto put /* it halts, for good */
	:: v == W && w_short -> mode = BUSY; goto put /* the end of its turn */
	fi;
serve:
	if
	:: v == X && request -> request = false; x_runs = true; goto enter
	:: v == W && preempt -> w_short = true; goto enter
	:: else -> goto enter
	fi;
put:
	take();
	running = NONE;
	release();
	goto round;
idle:
	mode = IDLE;
	if
	:: X_READY || w_runs -> goto round
	:: else
	fi;
end_idle:
	kick -> goto round
}

/* What has come to rest: the requester has done all it does, and the CPU waits for a kick. */
active proctype claims()
{
end_rest:
	do
	:: atomic {
		asked == 2 && !kick ->
		assert(!(cpu@end_guest && loaded == X && mode == GUEST && request));
		assert(!(cpu@end_idle && request));
		assert(!(cpu@end_guest && running == W && mode == GUEST && !w_short && request && !x_runs));
		break
	}
	od
}
