/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C11's atomic operations as sparse can read them: what they do to the types, without the
 * atomicity. It knows the compiler's built-in functions, but not for enumerations, and then gives
 * up on the file. Included before everything else, in that lint only.
 */
#ifndef LINT_SPARSE_H
#define LINT_SPARSE_H

#include <stdatomic.h>

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit

#define atomic_load_explicit(p, order)     ((void)(order), *(p))
#define atomic_load(p)                     atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store_explicit(p, v, order) ((void)(order), (void)(*(p) = (v)))
#define atomic_store(p, v)                 atomic_store_explicit(p, v, memory_order_seq_cst)

#define atomic_compare_exchange_strong(p, expected, v)                                             \
	(*(p) == *(expected) ? (*(p) = (v), 1) : (*(expected) = *(p), 0))
#define atomic_compare_exchange_weak(p, expected, v) atomic_compare_exchange_strong(p, expected, v)
#define atomic_compare_exchange_strong_explicit(p, expected, v, won, lost)                         \
	((void)(won), (void)(lost), atomic_compare_exchange_strong(p, expected, v))
#define atomic_compare_exchange_weak_explicit(p, expected, v, won, lost)                           \
	atomic_compare_exchange_strong_explicit(p, expected, v, won, lost)

#endif
