/* SPDX-License-Identifier: MIT */
#include "render/virgl/guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/*
 * How this works
 *
 * A timer's signal comes when the time is up, and its handler ends the process: that closes its socket, and the
 * library's call returns with an error. A handler may do no more than that.
 */

static timer_t timer;
static volatile sig_atomic_t guarded = -1; // a pidfd
static volatile sig_atomic_t ended;

static void handle_alarm(int number)
{
	int error = errno;

	(void)number;
	if (guarded >= 0) {
		ended = syscall(SYS_pidfd_send_signal, (int)guarded, SIGKILL, NULL, 0) == 0;
	}
	errno = error;
}

int virgl_guard_open(void)
{
	const struct sigaction action = { .sa_handler = handle_alarm, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };

	if (sigaction(SIGALRM, &action, NULL) < 0 ||
		timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) {
		int error = errno;

		log_errno(LOG_ERROR, error, "%s", "no timer for render processes");
		return -error;
	}
	return 0;
}

void virgl_guard_close(void)
{
	timer_delete(timer);
	signal(SIGALRM, SIG_DFL);
}

static void set_timer(time_t seconds)
{
	const struct itimerspec time = { .it_value.tv_sec = seconds };

	timer_settime(timer, 0, &time, NULL);
}

void virgl_guard_enter(int process)
{
	ended = 0;
	guarded = process;
	if (process >= 0) {
		set_timer(VIRGL_GUARD_SECONDS);
	}
}

bool virgl_guard_leave(void)
{
	if (guarded >= 0) {
		set_timer(0);
		guarded = -1;
	}
	return ended;
}
