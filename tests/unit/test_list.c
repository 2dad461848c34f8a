/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
	int number;
	struct list link;
};

struct fixture {
	struct list head;
	struct item items[3];
};

static struct item *to_item(struct list *link)
{
	return container_of(link, struct item, link);
}

/* A list of items 0, 1 and 2. */
static void fill(struct fixture *fixture)
{
	list_init(&fixture->head);
	for (int i = 0; i < 3; i++) {
		fixture->items[i].number = i;
		list_append(&fixture->head, &fixture->items[i].link);
	}
}

/* The numbers of the list as one decimal number, looked at from both ends. */
static int numbers(struct list *head)
{
	int forwards = 0, backwards = 0;
	int place = 1;

	list_for_each(link, head) {
		forwards = forwards * 10 + to_item(link)->number + 1;
	}
	for (struct list *link = head->prev; link != head; link = link->prev) {
		backwards += (to_item(link)->number + 1) * place;
		place *= 10;
	}
	assert_int_equal(forwards, backwards);
	return forwards;
}

static void container_is_found_from_its_member(void **state)
{
	struct item item = { .number = 5 };

	(void)state;
	assert_ptr_equal(to_item(&item.link), &item);
}

static void new_list_is_empty(void **state)
{
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_first(&head));
	list_for_each(link, &head) {
		fail_msg("an empty list has a link");
	}
}

static void append_keeps_the_order(void **state)
{
	struct fixture fixture;

	(void)state;
	fill(&fixture);
	assert_false(list_is_empty(&fixture.head));
	assert_false(list_is_empty(&fixture.items[1].link));
	assert_ptr_equal(list_first(&fixture.head), &fixture.items[0].link);
	assert_int_equal(numbers(&fixture.head), 123);
}

static void insert_after_any_place(void **state)
{
	struct fixture fixture;
	struct item first = { .number = 7 }, middle = { .number = 8 };

	(void)state;
	fill(&fixture);
	list_insert_after(&fixture.head, &first.link);
	list_insert_after(&fixture.items[0].link, &middle.link);
	assert_int_equal(numbers(&fixture.head), 81923);
}

static void remove_leaves_the_others(void **state)
{
	struct fixture fixture;

	(void)state;
	fill(&fixture);
	list_remove(&fixture.items[1].link);
	assert_int_equal(numbers(&fixture.head), 13);
	list_remove(&fixture.items[0].link);
	assert_int_equal(numbers(&fixture.head), 3);
	list_remove(&fixture.items[2].link);
	assert_true(list_is_empty(&fixture.head));
}

/* The link is then on no list: again is harmless, and it can go onto another list. */
static void remove_twice_is_harmless(void **state)
{
	struct fixture fixture;
	struct list other;

	(void)state;
	fill(&fixture);
	list_remove(&fixture.items[1].link);
	assert_true(list_is_empty(&fixture.items[1].link));
	list_remove(&fixture.items[1].link);
	assert_int_equal(numbers(&fixture.head), 13);
	list_init(&other);
	list_append(&other, &fixture.items[1].link);
	assert_int_equal(numbers(&other), 2);
	assert_int_equal(numbers(&fixture.head), 13);
}

static void safe_walk_may_remove_the_current_link(void **state)
{
	struct fixture fixture;
	int seen = 0;

	(void)state;
	fill(&fixture);
	list_for_each_safe(link, following, &fixture.head) {
		seen = seen * 10 + to_item(link)->number + 1;
		list_remove(link);
		/* as if it were freed */
		*to_item(link) = (struct item){ .number = -1 };
	}
	assert_int_equal(seen, 123);
	assert_true(list_is_empty(&fixture.head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_is_found_from_its_member),
		cmocka_unit_test(new_list_is_empty),
		cmocka_unit_test(append_keeps_the_order),
		cmocka_unit_test(insert_after_any_place),
		cmocka_unit_test(remove_leaves_the_others),
		cmocka_unit_test(remove_twice_is_harmless),
		cmocka_unit_test(safe_walk_may_remove_the_current_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
