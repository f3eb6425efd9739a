/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the decoder, opcode and operands, share. Private to the decoder. */
#ifndef VMM_EMULATE_DECODE_H
#define VMM_EMULATE_DECODE_H

#include "vmm/emulate/internal.h"
#include "vmm/emulate/opcodes.h"

#define noinline __attribute__((noinline))

#define SEG_NONE 0xff

#define REX_B 0x1
#define REX_X 0x2
#define REX_R 0x4
#define REX_W 0x8

#define MODRM_MOD(m) ((m) >> 6)
#define MODRM_REG(m) (((m) >> 3) & 7)
#define MODRM_RM(m)  ((m)&7)

/* Get at least one more instruction byte into insn.bytes. */
int emul_fetch_bytes(struct emul_ctx *c);

static inline int emul_next_byte(struct emul_ctx *c, uint8_t *byte)
{
	struct emul_insn *i = &c->insn;

	if (unlikely(i->len >= i->nr_bytes)) {
		int err = emul_fetch_bytes(c);

		if (err)
			return err;
	}
	*byte = i->bytes[i->len++];
	return EMUL_OK;
}

/* The memory operand of insn.modrm into insn.mem; an 8-bit displacement counts `scale` bytes. */
int emul_decode_mem(struct emul_ctx *c, unsigned scale);

/* The next `size` bytes (1, 2, 4, 8) as a little-endian number, zero-extended. */
int emul_decode_number(struct emul_ctx *c, unsigned size, uint64_t *val);

/* What is not in the opcode maps, from its first byte on: OP_NATIVE, or EMUL_UNHANDLED. */
int emul_decode_native(struct emul_ctx *c);

/* ModRM displacement, SIB and all operands of the row; insn.opnd[], mem and imm. */
int emul_decode_operands(struct emul_ctx *c, const struct opcode *row);

#endif
