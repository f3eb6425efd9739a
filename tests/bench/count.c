/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that counts executed instructions, on all CPUs and in guests of guests alike, and
 * says how many there were when given addresses were first executed:
 *
 *	-plugin build/bench/count.so,from=0x100000,to=0x13370000,out=FILE
 *
 * writes "FROM TO END" (0 for an address that was never reached).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

extern int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

struct mark {
	uint64_t address, count;
};

static uint64_t executed;
static struct mark marks[2];
static const char *out;

static void reached(unsigned cpu, void *data)
{
	struct mark *mark = data;

	(void)cpu;
	if (!mark->count)
		mark->count = executed;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		qemu_plugin_register_vcpu_insn_exec_inline(insn, OP_INLINE_ADD_U64, &executed, 1);
		for (size_t m = 0; m < 2; m++)
			if (!marks[m].count && qemu_plugin_insn_vaddr(insn) == marks[m].address)
				qemu_plugin_register_vcpu_insn_exec_cb(insn, reached, CB_NO_REGS,
								       &marks[m]);
	}
}

static void finish(plugin_id id, void *data)
{
	FILE *file = fopen(out, "w");

	(void)id;
	(void)data;
	if (!file)
		return;
	fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", marks[0].count, marks[1].count,
		executed);
	fclose(file);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "from=", 5))
			marks[0].address = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "to=", 3))
			marks[1].address = strtoull(argv[i] + 3, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		else
			return -1;
	}
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
