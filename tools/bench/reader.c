/* SPDX-License-Identifier: MIT */
#include "bench/reader.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "bench/usage.h"
#include "frontend/display.h"

static void publish(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static void wake(struct reader_shared *shared)
{
	__atomic_fetch_add(&shared->sequence, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&shared->waiting, __ATOMIC_SEQ_CST)) {
		syscall(SYS_futex, &shared->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
}

static void count_update(struct reader_shared *shared, const struct fe_display *display)
{
	const struct vmm_update *last = &display->outputs[0].last;
	uint64_t pixels = shared->pixels + (uint64_t)last->width * last->height;

	publish(&shared->updates, shared->updates + 1);
	publish(&shared->pixels, pixels);
	uint64_t frames = shared->frame_pixels ? pixels / shared->frame_pixels : 0;
	if (frames != shared->frames) {
		shared->times[(frames - 1) % READER_TIMES] = fe_now_ns();
		publish(&shared->frames, frames);
		wake(shared);
	}
}

static void note_violation(struct reader_shared *shared, const struct fe_display *display)
{
	if (display->violations != shared->violations) {
		memcpy(shared->violation, display->violation, sizeof(shared->violation));
		publish(&shared->violations, display->violations);
	}
}

static void read_all(struct fe_display *display, struct reader_shared *shared)
{
	uint64_t updates = 0;

	while (fe_display_read_message(display) == 0) {
		if (display->outputs[0].updates != updates) {
			updates = display->outputs[0].updates;
			count_update(shared, display);
		} else if (display->cursor.moves != shared->cursor_moves) {
			publish(&shared->cursor_moves, display->cursor.moves);
			wake(shared);
		}
		note_violation(shared, display);
	}
}

static void run(struct reader_shared *shared, int socket, int cpu, uint32_t width, uint32_t height)
{
	static struct fe_display display;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	usage_pin(cpu);
	fe_display_init(&display);
	fe_display_set_outputs(&display, 1, width, height);
	display.discard = true;
	display.any_flags = true;
	display.socket = socket;
	read_all(&display, shared);
	_exit(0);
}

int reader_start(struct reader *reader, int cpu, uint32_t width, uint32_t height)
{
	int ends[2];

	*reader = (struct reader){ .socket = -1 };
	reader->shared = mmap(NULL, sizeof(*reader->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reader->shared == MAP_FAILED) {
		reader->shared = NULL;
		return -errno;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		reader_stop(reader);
		return -errno;
	}
	reader->pid = fork();
	if (reader->pid == 0) {
		close(ends[1]); // else the end of the stream never comes
		run(reader->shared, ends[0], cpu, width, height);
	}
	fd_close(&ends[0]);
	reader->socket = ends[1];
	return reader->pid < 0 ? -errno : 0;
}

void reader_stop(struct reader *reader)
{
	fd_close(&reader->socket);
	if (reader->pid > 0) {
		kill(reader->pid, SIGKILL);
		waitpid(reader->pid, NULL, 0);
		reader->pid = 0;
	}
	if (reader->shared) {
		munmap(reader->shared, sizeof(*reader->shared));
		reader->shared = NULL;
	}
}

void reader_begin(struct reader *reader, uint64_t frame_pixels)
{
	publish(&reader->shared->pixels, 0);
	publish(&reader->shared->frames, 0);
	publish(&reader->shared->updates, 0);
	publish(&reader->shared->frame_pixels, frame_pixels);
}

static uint64_t load(const uint64_t *from)
{
	return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

int reader_wait(struct reader *reader, const uint64_t *counter, uint64_t target, int timeout_ms)
{
	struct reader_shared *shared = reader->shared;
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;
	const struct timespec slice = { .tv_nsec = 20000000 };

	while (load(counter) < target && fe_now_ns() < end) {
		uint32_t sequence = __atomic_load_n(&shared->sequence, __ATOMIC_SEQ_CST);

		__atomic_store_n(&shared->waiting, 1, __ATOMIC_SEQ_CST);
		if (load(counter) < target) {
			syscall(SYS_futex, &shared->sequence, FUTEX_WAIT, sequence, &slice, NULL,
				0);
		}
		__atomic_store_n(&shared->waiting, 0, __ATOMIC_SEQ_CST);
	}
	return load(counter) >= target ? 0 : -ETIMEDOUT;
}
