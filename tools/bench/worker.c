/* SPDX-License-Identifier: MIT */
#include "bench/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

enum {
	STOP_MS = 5000
};

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int worker_init(struct worker *worker, size_t shared_size)
{
	*worker = (struct worker){ .ping_epoll = -1, .life = -1, .shared_size = shared_size };
	worker->ping = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->pong = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->pong_epoll = epoll_create1(EPOLL_CLOEXEC);
	worker->shared = mmap(
		NULL, shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (worker->shared == MAP_FAILED) {
		worker->shared = NULL;
		return -ENOMEM;
	}
	return watch(worker->pong_epoll, worker->pong);
}

int worker_start(struct worker *worker, worker_fn work, void *data)
{
	int life[2];

	if (pipe2(life, O_CLOEXEC) < 0) {
		return -errno;
	}
	worker->life = life[0];
	worker->pid = fork();
	if (worker->pid == 0) {
		worker->ping_epoll = epoll_create1(EPOLL_CLOEXEC);
		watch(worker->ping_epoll, worker->ping);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		work(worker, data);
		_exit(0);
	}
	int error = worker->pid < 0 ? -errno : watch(worker->pong_epoll, worker->life);

	close(life[1]);
	return error;
}

static void reap(struct worker *worker)
{
	kill(worker->pid, SIGTERM);
	for (int ms = 0; waitpid(worker->pid, NULL, WNOHANG) == 0; ms++) {
		if (ms == STOP_MS) {
			kill(worker->pid, SIGKILL);
		}
		usleep(1000);
	}
	worker->pid = 0;
}

void worker_stop(struct worker *worker)
{
	if (worker->shared_size == 0) {
		return; // never begun
	}
	if (worker->pid > 0) {
		reap(worker);
	}
	fd_close(&worker->life);
	fd_close(&worker->ping);
	fd_close(&worker->pong);
	fd_close(&worker->pong_epoll);
	if (worker->shared) {
		munmap(worker->shared, worker->shared_size);
		worker->shared = NULL;
	}
	worker->shared_size = 0;
}

int worker_run(struct worker *worker)
{
	struct epoll_event event = { 0 };

	fd_event_signal(worker->ping);
	while (epoll_wait(worker->pong_epoll, &event, 1, -1) <= 0) {
	}
	if (event.data.fd != worker->pong) {
		return -ECHILD;
	}
	fd_event_clear(worker->pong);
	return 0;
}

void worker_wait(struct worker *worker)
{
	struct epoll_event event;

	while (epoll_wait(worker->ping_epoll, &event, 1, -1) <= 0) {
	}
	fd_event_clear(worker->ping);
}

void worker_done(struct worker *worker)
{
	fd_event_signal(worker->pong);
}
