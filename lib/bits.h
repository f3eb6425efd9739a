/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit fields of hardware words, alignment, and the few macros that every C system wants. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include <stddef.h>
#include <stdint.h>

#define BIT_ULL(n)        (1ull << (n))
#define BIT(n)            (1u << (n))
#define GENMASK_ULL(h, l) (((~0ull) << (l)) & (~0ull >> (63 - (h))))

/* The field `mask` of `word`, shifted down; and a value shifted up into place. */
#define FIELD_GET(mask, word) (((word) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PREP(mask, val) (((uint64_t)(val) << __builtin_ctzll(mask)) & (mask))

#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)     ALIGN_DOWN((x) + (a)-1, a)
#define IS_ALIGNED(x, a)   (((x) & ((__typeof__(x))(a)-1)) == 0)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* What holds, and the compiler cannot know. */
#define assume(x)                                                                                  \
	do {                                                                                       \
		if (!(x))                                                                          \
			__builtin_unreachable();                                                   \
	} while (0)

/* newlib's <sys/cdefs.h> has some of these names, with the same meaning. */
#undef __packed
#undef __aligned
#undef __always_inline
#define __packed           __attribute__((packed))
#define __aligned(n)       __attribute__((aligned(n)))
#define __cold             __attribute__((cold, noinline)) /* keep it out of the fast paths */
#define __always_inline    inline __attribute__((always_inline))
#define __noreturn         __attribute__((noreturn))
#define __printf_fmt(f, a) __attribute__((format(printf, f, a)))
/* Written during start-up only; read-only (in the page tables) once the guests run. */
#define __ro_after_init __attribute__((section(".data..ro_after_init")))

#endif
