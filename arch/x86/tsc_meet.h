/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two CPUs meet and compare their TSCs. One asks and the other answers, in rounds:
 *
 *	asks				answers
 *	before = now
 *	round = n	   ------>	sees n
 *					answer = now
 *	sees n		  <------	answered = n
 *	after = now
 *
 * If both count the same, each answer lies between `before` and `after`. If the other CPU is ahead
 * by d, answer - d does: each round bounds d from both sides, and the tightest bounds of all rounds
 * count. A round that took long, because a cache line or a virtual CPU did, only says less.
 */
#ifndef ARCH_X86_TSC_MEET_H
#define ARCH_X86_TSC_MEET_H

#include <stdatomic.h>
#include <stdint.h>

#define TSC_MEET_ROUNDS 3 /* the first one moves the cache lines */

/* Zeroed before each meeting. */
struct tsc_meeting {
	_Atomic unsigned round;    /* written by who asks */
	_Atomic unsigned answered; /* written by who answers, after `answer` */
	uint64_t answer;
};

/*
 * Both CPUs call their half, with interrupts closed, and wait for each other; `now` reads the
 * counter. The result: the other CPU's counter is ahead by that many ticks at the least, or behind
 * if it is negative; 0: they may well be equal.
 */
int64_t tsc_meet_ask(struct tsc_meeting *m, uint64_t (*now)(void));
void tsc_meet_answer(struct tsc_meeting *m, uint64_t (*now)(void));

#endif
