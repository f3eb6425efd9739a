/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/no_effect.h"

#include "vmm/exit/insn.h"

/* Caches are coherent with all that a guest can reach, so there is nothing to write back. */
void no_effect_wbinvd(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_WBINVD);

	if (!len) /* INVD; or its page has gone, for which the fault is queued already */
		len = insn_peek_length(v, OP_INVD);
	if (len)
		vcpu_skip(v, len);
}

void no_effect_pause(struct vcpu *v)
{
	unsigned len = insn_exit_length(v, OP_PAUSE);

	if (len)
		vcpu_skip(v, len);
	vcpu_request(v, REQ_YIELD);
}
