/* SPDX-License-Identifier: MIT */
#include "ctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/fd.h"
#include "ctl/message.h"

/* A daemon that does not answer for so long is stuck. */
#define TIMEOUT_S 10

/* Far above the largest answer (16 outputs, all counters), far below what would hurt. */
#define ANSWER_MAX (1u << 20)

struct receiver {
	char *text;
	size_t len;
	int fds[FD_MESSAGE_MAX];
	size_t fd_count;
};

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		message("%s: too long for a socket's path", path);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		message("%s: %s%s", path, strerror(errno),
			errno == ECONNREFUSED || errno == ENOENT
				? ": is the daemon running, with --control=PATH?"
				: "");
		fd_close(&fd);
	}
	return fd;
}

static bool send_line(int socket, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	const size_t len = text ? strlen(text) : 0;
	bool sent;

	if (!text) {
		return false;
	}
	text[len] = '\n';
	/* A request is far shorter than a socket buffer: it goes in one piece. */
	sent = send(socket, text, len + 1, MSG_NOSIGNAL) == (ssize_t)(len + 1);
	free(text);
	return sent;
}

static bool is_whole(const struct receiver *receiver)
{
	return receiver->len && receiver->text[receiver->len - 1] == '\n';
}

static bool receive_line(int socket, struct receiver *receiver)
{
	bool too_many = false;

	while (!is_whole(receiver) && receiver->len < ANSWER_MAX) {
		ssize_t len = fd_receive(socket, receiver->text + receiver->len,
			ANSWER_MAX - receiver->len, receiver->fds, &receiver->fd_count, &too_many);

		if (len <= 0) {
			message("no answer: %s",
				len == 0 ? "the daemon closed the connection"
					 : strerror((int)-len));
			return false;
		}
		receiver->len += (size_t)len;
	}
	return is_whole(receiver);
}

/* The daemon's own error becomes a message. */
static json_t *check_answer(json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(json_object_get(answer, "ok"))) {
		return answer;
	}
	message("%s", error ? error : "the answer is not understood");
	json_decref(answer);
	return NULL;
}

static json_t *receive_answer(int socket, struct receiver *receiver)
{
	json_error_t error;
	json_t *answer;

	if (!receive_line(socket, receiver)) {
		return NULL;
	}
	answer = json_loadb(receiver->text, receiver->len, 0, &error);
	if (!answer) {
		message("the answer is not JSON: %s", error.text);
		return NULL;
	}
	return check_answer(answer);
}

json_t *client_ask(const char *path, const json_t *request, int *fd)
{
	struct receiver receiver = { .text = malloc(ANSWER_MAX) };
	int socket = connect_to(path);
	json_t *answer = NULL;

	*fd = -1;
	if (socket >= 0 && receiver.text && send_line(socket, request)) {
		answer = receive_answer(socket, &receiver);
	}
	if (answer && receiver.fd_count) {
		*fd = receiver.fds[--receiver.fd_count];
	}
	fd_close_all(receiver.fds, receiver.fd_count);
	fd_close(&socket);
	free(receiver.text);
	return answer;
}
