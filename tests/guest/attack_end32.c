/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * As attack_end.c, the ways that only a 32-bit guest has: way=NAME on the command line. Without a
 * name: a triple fault. run: status=101 vcpus=1
 */
#include <string.h>

#include "boot.h"
#include "ktap.h"
#include "paging.h"
#include "trap.h"

/*
 * A task whose TSS asks for a #DB at each switch to it, and whose task is #DB's handler. It should
 * be busy then; but its descriptor lies where the switch saves the registers EAX and ECX, which
 * hold that of a task that is not. So the CPU switches from the task to itself, and comes to no
 * instruction any more.
 */
#define SEL_TRAP  0x200
#define SEL_START 0x400 /* the same TSS, for the way in */
#define TASK_GATE (0x85ull << 40)

static void task_trap(void)
{
	uint64_t *table = page_alloc(), *descriptor = &table[SEL_TRAP / 8];
	struct tss *tss = (struct tss *)((unsigned long)descriptor - offsetof(struct tss, eax));
	uint32_t low, high;

	memcpy(table, gdt, SEL_TSS);
	lgdt((struct table_ptr){PAGE_SIZE - 1, (unsigned long)table});
	gdt_set(SEL_TEST, (uint32_t)(unsigned long)tss, sizeof(*tss) - 1, 0x89);
	*descriptor = table[SEL_START / 8] = gdt[SEL_TEST / 8];
	low = (uint32_t)*descriptor;
	high = (uint32_t)(*descriptor >> 32);
	tss->trap = 1;
	idt[DB_VECTOR] = TASK_GATE | SEL_TRAP << 16;
	ltr(SEL_START);
	__asm__ volatile("ljmp %0, $0" : : "i"(SEL_TRAP), "a"(low), "c"(high) : "memory");
}

static void idt_without_entries(void)
{
	lidt((struct table_ptr){0, 0});
	__asm__ volatile("ud2");
}

void guest_main(void)
{
	const char *way = boot_option("way");

	if (way && strncmp(way, "task_trap", 9))
		bail_out("way=%s: no such way", way);
	printf("KTAP version 1\n1..1\nok 1 - about to begin\n");
	while (!(inb(0x3fd) & 0x40))
		pause();
	if (way)
		task_trap();
	else
		idt_without_entries();
	bail_out("still here");
}
