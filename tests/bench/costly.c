/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that counts the instructions that cost more than others on a real CPU, for each row
 * of the benchmark's guest: by the host, by whatever runs it, and by the guest itself. The guest
 * marks where a row begins (XCHG CX, CX) and where it ends (XCHG BX, BX).
 *
 *	-plugin build/bench/costly.so,out=FILE
 *
 * For each row a line with the counts, in the order of `kinds`; the first line of FILE has their
 * names.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/qemu_plugin.h"

extern int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

enum kind {
	VMRUN,
	VMLOAD_SAVE,
	GIF,
	INVLPGA,
	MSR,
	XSETBV,
	CR_WRITE,
	INVLPG,
	PORT,
	CPUID,
	LOCK,
	KINDS
};

static const char *const names[KINDS] = {"VMRUN",       "VMLOAD/VMSAVE", "CLGI/STGI", "INVLPGA",
					 "RDMSR/WRMSR", "XSETBV",        "CR write",  "INVLPG",
					 "port I/O",    "CPUID",         "LOCK"};

static uint64_t counts[KINDS], begun[KINDS];
static FILE *out;

static void begin_row(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	memcpy(begun, counts, sizeof(begun));
}

static void end_row(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	for (unsigned k = 0; k < KINDS; k++)
		fprintf(out, "%" PRIu64 "%c", counts[k] - begun[k], k + 1 < KINDS ? ' ' : '\n');
	fflush(out);
}

/* 0F 01 and a ModR/M byte. */
static int kind_of_group7(uint8_t modrm)
{
	switch (modrm) {
	case 0xd1:
		return XSETBV;
	case 0xd8:
		return VMRUN;
	case 0xda:
	case 0xdb:
		return VMLOAD_SAVE;
	case 0xdc:
	case 0xdd:
		return GIF;
	case 0xdf:
		return INVLPGA;
	default:
		return modrm < 0xc0 && (modrm >> 3 & 7) == 7 ? INVLPG : KINDS;
	}
}

static int kind_of_two_bytes(const uint8_t *code)
{
	switch (code[0]) {
	case 0x01:
		return kind_of_group7(code[1]);
	case 0x22:
		return CR_WRITE;
	case 0x30:
	case 0x32:
		return MSR;
	case 0xa2:
		return CPUID;
	default:
		return KINDS;
	}
}

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || (byte & 0xf0) == 0x40;
}

/* In 64-bit code; KINDS: no such instruction. XCHG with memory locks without a prefix. */
static int kind_of(const uint8_t *code, size_t len)
{
	uint8_t bytes[16] = {0};

	while (len > 1 && is_prefix(*code))
		code++, len--;
	memcpy(bytes, code, len < sizeof(bytes) ? len : sizeof(bytes));
	if (bytes[0] == 0x0f)
		return kind_of_two_bytes(bytes + 1);
	if (bytes[0] == 0xf0 || ((bytes[0] & 0xfe) == 0x86 && bytes[1] < 0xc0))
		return LOCK;
	if ((bytes[0] & 0xf4) == 0xe4 && (bytes[0] & 0xfc) != 0xe8)
		return PORT;
	return (bytes[0] & 0xfc) == 0x6c ? PORT : KINDS;
}

static void look_at(struct qemu_plugin_insn *insn)
{
	const uint8_t *code = qemu_plugin_insn_data(insn);
	size_t len = qemu_plugin_insn_size(insn);
	int kind = kind_of(code, len);

	if (kind != KINDS)
		qemu_plugin_register_vcpu_insn_exec_inline(insn, OP_INLINE_ADD_U64, &counts[kind],
							   1);
	else if (len == 3 && !memcmp(code, "\x66\x87\xc9", 3))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, begin_row, CB_NO_REGS, NULL);
	else if (len == 3 && !memcmp(code, "\x66\x87\xdb", 3))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, end_row, CB_NO_REGS, NULL);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		look_at(qemu_plugin_tb_get_insn(tb, i));
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = fopen(argv[0] + 4, "w");
	if (!out)
		return -1;
	for (unsigned k = 0; k < KINDS; k++)
		fprintf(out, "%s%c", names[k], k + 1 < KINDS ? ',' : '\n');
	fflush(out);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
