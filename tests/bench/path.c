/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that tells the ways of exits: all instructions that one CPU executes from one
 * VMRUN to the next, and how often each way was gone.
 *
 *	-plugin build/bench/path.so,vmrun=0xffffffff80135d88,out=FILE
 *
 * writes the ways, the most frequent first: a line "COUNT LENGTH", then LENGTH addresses. Those of
 * the guest come first: a way begins where the guest goes on. tools/path shows them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

#define LONGEST  4096 /* what is longer is no way of an exit */
#define MAX_WAYS 4096
#define SHOWN    64

extern int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

struct way {
	uint64_t count, hash;
	unsigned length;
	uint64_t *address;
};

static struct way ways[MAX_WAYS];
static unsigned nr_ways;
static uint64_t here[LONGEST];
static unsigned length; /* of the way so far; LONGEST: too long */
static uint64_t vmrun;
static const char *out;

static uint64_t hash_of_here(void)
{
	uint64_t hash = length;

	for (unsigned i = 0; i < length; i++)
		hash = (hash ^ here[i]) * 0x100000001b3;
	return hash;
}

static void add_way(uint64_t hash)
{
	struct way *w = &ways[nr_ways];

	w->address = malloc(length * sizeof(*here));
	if (!w->address)
		return;
	memcpy(w->address, here, length * sizeof(*here));
	w->count = 1;
	w->hash = hash;
	w->length = length;
	nr_ways++;
}

static void end_way(void)
{
	uint64_t hash = hash_of_here();

	for (unsigned i = 0; i < nr_ways; i++) {
		if (ways[i].hash == hash && ways[i].length == length) {
			ways[i].count++;
			return;
		}
	}
	if (nr_ways < MAX_WAYS && length < LONGEST)
		add_way(hash);
}

static void executed(unsigned cpu, void *data)
{
	uint64_t address = (uintptr_t)data;

	(void)cpu;
	if (length < LONGEST)
		here[length++] = address;
	if (address != vmrun)
		return;
	end_way();
	length = 0;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		void *address = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);

		qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, CB_NO_REGS, address);
	}
}

static int by_count(const void *a, const void *b)
{
	const struct way *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

static void finish(plugin_id id, void *data)
{
	FILE *file = fopen(out, "w");

	(void)id;
	(void)data;
	if (!file)
		return;
	qsort(ways, nr_ways, sizeof(ways[0]), by_count);
	for (unsigned i = 0; i < nr_ways && i < SHOWN; i++) {
		fprintf(file, "%" PRIu64 " %u\n", ways[i].count, ways[i].length);
		for (unsigned n = 0; n < ways[i].length; n++)
			fprintf(file, "%" PRIx64 "\n", ways[i].address[n]);
	}
	fclose(file);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "vmrun=", 6))
			vmrun = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		else
			return -1;
	}
	if (!out || !vmrun)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
