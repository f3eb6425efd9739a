/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive, circular, doubly linked lists: a node is embedded in what it links. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>

#include "lib/bits.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(l)                                                                               \
	{                                                                                          \
		&(l), &(l)                                                                         \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

/* Insert behind the head: the first element. */
static inline void list_add(struct list *n, struct list *head)
{
	list_insert(n, head, head->next);
}

/* Insert before the head: the last element. */
static inline void list_add_tail(struct list *n, struct list *head)
{
	list_insert(n, head->prev, head);
}

/* Unlink `n`, and leave it an empty list, so that deleting twice does no harm. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_entry(ptr, type, member)  container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member)  list_entry((head)->prev, type, member)

/* Behind the loop, `pos` has no meaning. */
#define list_for_each(pos, head, member)                                                           \
	for (struct list *at_ = (head)->next;                                                      \
	     at_ != (head) && (pos = list_entry(at_, __typeof__(*pos), member), true);             \
	     at_ = at_->next)

#define list_for_each_safe(pos, tmp, head, member)                                                 \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                             \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                          \
	     &pos->member != (head);                                                               \
	     pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
