/* SPDX-License-Identifier: MIT */
#ifndef BASE_LIST_H
#define BASE_LIST_H

/*
 * An intrusive, circular, doubly linked list. A list head and a link are the same struct; an
 * element that is on no list has a link that points at itself, so that list_remove is always safe
 * after list_init. Fields name what they hold: `struct list resources; // gpu_resource.link`.
 */

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->prev = list;
	list->next = list;
}

/* Is the list empty, or the link on no list? */
static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_insert_after(struct list *position, struct list *link)
{
	link->prev = position;
	link->next = position->next;
	position->next->prev = link;
	position->next = link;
}

static inline void list_append(struct list *list, struct list *link)
{
	list_insert_after(list->prev, link);
}

/* Takes the link off its list; the link is then on no list. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* The first link of the list; NULL when it is empty. */
static inline struct list *list_first(const struct list *list)
{
	return list_is_empty(list) ? NULL : list->next;
}

/* Walks the links. The loop body must not remove the current link: list_for_each_safe may. */
#define list_for_each(link, head) \
	for (struct list *link = (head)->next; link != (head); link = link->next)

#define list_for_each_safe(link, following, head) \
	for (struct list *link = (head)->next, *following = link->next; link != (head); \
		link = following, following = link->next)

#endif
