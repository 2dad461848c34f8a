/* SPDX-License-Identifier: MIT */
#include "memory/guard.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * How this works
 *
 * The handler may run between any two instructions of this file, on any thread. It walks blocks that
 * are never freed, linked before they are used, and reads only atomics. A guard that is free has start
 * 0; one that is taken gets its other fields first and its start last, and loses its start before the
 * range is unmapped. One thread adds and removes.
 *
 * The handler maps private zero pages over the lost page and returns: the instruction runs again and
 * finds zeros. mmap(2) is not on POSIX's list of what a handler may call, but is a bare system call on
 * Linux. A SIGBUS that is not about a guarded page gets its default action: of a fault, by returning to
 * it; of a signal that someone sent, by raising it again.
 */

#define BLOCK_GUARDS 64u

struct guard {
	atomic_uintptr_t start; // 0: free
	atomic_size_t len;
	atomic_size_t page_size;
	atomic_bool hit;
	struct guard *next_free; // not for the handler
};

struct block {
	struct block *next; // never changes once the block is linked
	struct guard guards[BLOCK_GUARDS];
};

static _Atomic(struct block *) blocks;
static struct guard *free_guards;

static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "a signal handler cannot take locks");

static bool add_block(void)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block) {
		return false;
	}
	for (size_t i = 0; i < BLOCK_GUARDS; i++) {
		block->guards[i].next_free = free_guards;
		free_guards = &block->guards[i];
	}
	block->next = atomic_load_explicit(&blocks, memory_order_relaxed);
	atomic_store_explicit(&blocks, block, memory_order_release);
	return true;
}

struct guard *guard_add(void *start, size_t len, size_t page_size)
{
	struct guard *guard;

	if (!free_guards && !add_block()) {
		return NULL;
	}
	guard = free_guards;
	free_guards = guard->next_free;
	atomic_store_explicit(&guard->len, len, memory_order_relaxed);
	atomic_store_explicit(&guard->page_size, page_size, memory_order_relaxed);
	atomic_store_explicit(&guard->hit, false, memory_order_relaxed);
	atomic_store_explicit(&guard->start, (uintptr_t)start, memory_order_release);
	return guard;
}

void guard_remove(struct guard *guard)
{
	atomic_store_explicit(&guard->start, 0, memory_order_seq_cst);
	guard->next_free = free_guards;
	free_guards = guard;
}

bool guard_was_hit(const struct guard *guard)
{
	return atomic_load_explicit(&guard->hit, memory_order_relaxed);
}

static bool guard_covers(struct guard *guard, uintptr_t address)
{
	uintptr_t start = atomic_load_explicit(&guard->start, memory_order_acquire);

	return start != 0 &&
		address - start < atomic_load_explicit(&guard->len, memory_order_relaxed);
}

static struct guard *find_guard(uintptr_t address)
{
	struct block *block = atomic_load_explicit(&blocks, memory_order_acquire);

	for (; block; block = block->next) {
		for (size_t i = 0; i < BLOCK_GUARDS; i++) {
			if (guard_covers(&block->guards[i], address)) {
				return &block->guards[i];
			}
		}
	}
	return NULL;
}

/* Puts zeros where the page was. */
static bool replace_page(struct guard *guard, uintptr_t address)
{
	size_t page_size = atomic_load_explicit(&guard->page_size, memory_order_relaxed);
	void *page = (void *)(address & ~(page_size - 1)); // NOLINT: an address from the kernel

	if (mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == MAP_FAILED) {
		return false;
	}
	atomic_store_explicit(&guard->hit, true, memory_order_relaxed);
	return true;
}

static bool handle_fault(const siginfo_t *info)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	struct guard *guard;

	/* ADRERR: beyond the file's end, or no huge page left; MCEERR_AR: the memory itself failed. */
	if (info->si_code != BUS_ADRERR && info->si_code != BUS_MCEERR_AR) {
		return false;
	}
	guard = find_guard(address);
	return guard && replace_page(guard, address);
}

static void handle_sigbus(int number, siginfo_t *info, void *context)
{
	int error = errno;

	(void)context;
	if (!handle_fault(info)) {
		signal(number, SIG_DFL);
		if (info->si_code <= 0) {
			raise(number); // sent, not caused: it would not come again by itself
		}
	}
	errno = error;
}

void guard_install_handler(void)
{
	struct sigaction action = { .sa_sigaction = handle_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}
