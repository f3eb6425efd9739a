/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that tells how long Umbra goes on with interrupts closed: the most instructions
 * that it executes between two places where they are open, an STI of its own or a VMRUN. Each round
 * of a REP is one. For a machine with one CPU.
 *
 *	-plugin build/bench/closed.so,out=FILE
 *
 * A guest divides the run in parts with the instruction XCHG BX, BX. For each part there is a line
 * "LONGEST END": so many instructions, up to the address where interrupts opened. Parts begin with
 * the first VMRUN. FILE is written anew with each part, so that a run need not end.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

#define IMAGE     0xffffffff80000000u /* Umbra's addresses; no guest that is measured has such */
#define MAX_PARTS 64

extern int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

static uint64_t executed; /* by Umbra */
static uint64_t opened;   /* of these, when interrupts were open last */
static bool begun;

static struct {
	uint64_t longest, end;
} parts[MAX_PARTS];
static unsigned part;
static const char *out;

static void write_parts(void)
{
	FILE *file = fopen(out, "w");

	if (!file)
		return;
	for (unsigned i = 0; i <= part; i++)
		fprintf(file, "%" PRIu64 " %" PRIx64 "\n", parts[i].longest, parts[i].end);
	fclose(file);
}

static void open_at(unsigned cpu, void *data)
{
	uint64_t closed = executed - opened;

	(void)cpu;
	opened = executed;
	if (!begun || closed <= parts[part].longest)
		return;
	parts[part].longest = closed;
	parts[part].end = (uintptr_t)data;
}

static void run_guest(unsigned cpu, void *data)
{
	open_at(cpu, data);
	begun = true;
}

static void next_part(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	write_parts();
	if (part < MAX_PARTS - 1)
		part++;
}

static bool is(const struct qemu_plugin_insn *insn, const char *bytes, size_t len)
{
	return qemu_plugin_insn_size(insn) == len &&
	       !memcmp(qemu_plugin_insn_data(insn), bytes, len);
}

static void look_at(struct qemu_plugin_insn *insn)
{
	void *address = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);

	if ((uintptr_t)address < IMAGE) {
		if (is(insn, "\x66\x87\xdb", 3))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, next_part, CB_NO_REGS, NULL);
		return;
	}
	qemu_plugin_register_vcpu_insn_exec_inline(insn, OP_INLINE_ADD_U64, &executed, 1);
	if (is(insn, "\xfb", 1))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, open_at, CB_NO_REGS, address);
	else if (is(insn, "\x0f\x01\xd8", 3))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, run_guest, CB_NO_REGS, address);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		look_at(qemu_plugin_tb_get_insn(tb, i));
}

static void finish(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	write_parts();
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
