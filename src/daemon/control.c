/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"

/*
 * How this works
 *
 * A client is in one of two states: its request is read, or its answer is written. While an answer
 * is being written nothing is read, so a client that does not read its answers holds one answer and
 * a socket buffer, and no more. A line is looked for with MSG_PEEK and taken up to its newline:
 * what follows stays in the kernel, and the loop serves everybody else before the next line. So
 * each turn costs at most one request a client.
 */

/* How long to wait for descriptors when there are none to accept a client with. */
#define PAUSE_MS 1000

static const char too_many_text[] = "{\"ok\":false,\"error\":\"too many clients: close one\"}\n";
static const char too_long_text[] =
	"{\"ok\":false,\"error\":\"a request is one line of at most 4095 bytes\"}";

struct control_client {
	struct control *control;
	struct list link; // control.clients
	int socket;
	struct loop_fd *source;
	char line[CONTROL_LINE_MAX];
	size_t line_len;
	char *answer; // NULL while a request is read
	size_t answer_len;
	size_t answer_sent;
	int answer_fd;
	bool last; // close when the answer is written
};

struct control {
	struct loop *loop;
	int socket; // borrowed
	struct loop_fd *source;
	struct loop_timer *pause; // runs while accept() is not tried
	struct list clients; // control_client.link
	size_t client_count;
	control_handle_fn handle;
	void *data;
};

static void destroy_client(struct control_client *client)
{
	list_remove(&client->link);
	client->control->client_count--;
	loop_remove_fd(client->source);
	fd_close(&client->socket);
	fd_close(&client->answer_fd);
	free(client->answer);
	free(client);
}

/* Returns 0 when all was sent, or -errno. */
static int send_answer(struct control_client *client)
{
	while (client->answer_sent < client->answer_len) {
		const struct iovec iov = {
			.iov_base = client->answer + client->answer_sent,
			.iov_len = client->answer_len - client->answer_sent,
		};
		ssize_t sent = fd_send(
			client->socket, &iov, 1, &client->answer_fd, client->answer_fd >= 0);

		if (sent < 0) {
			return (int)sent;
		}
		client->answer_sent += (size_t)sent;
		fd_close(&client->answer_fd);
	}
	return 0;
}

/* Goes on writing. The client may be gone afterwards. */
static void write_client(struct control_client *client)
{
	int result = send_answer(client);

	if (result == -EAGAIN) {
		loop_fd_set_events(client->source, LOOP_WRITABLE);
		return;
	}
	if (result < 0 || client->last) {
		destroy_client(client);
		return;
	}
	free(client->answer);
	client->answer = NULL;
	loop_fd_set_events(client->source, LOOP_READABLE);
}

/* Takes text. The client may be gone afterwards. */
static void answer_client(struct control_client *client, char *text, int fd)
{
	char *line = text ? realloc(text, strlen(text) + 2) : NULL;

	if (!line) {
		log_error("no memory to answer on the control socket");
		free(text);
		fd_close(&fd);
		destroy_client(client);
		return;
	}
	client->answer = line;
	client->answer_len = strlen(line) + 1;
	client->answer[client->answer_len - 1] = '\n';
	client->answer_sent = 0;
	client->answer_fd = fd;
	write_client(client);
}

static void handle_line(struct control_client *client)
{
	struct control *control = client->control;
	struct control_reply reply;

	reply = control->handle(control->data, client->line, client->line_len - 1);
	client->line_len = 0;
	answer_client(client, reply.text, reply.fd);
}

static void refuse_line(struct control_client *client)
{
	client->last = true;
	answer_client(client, strdup(too_long_text), -1);
}

/*
 * Takes bytes up to a newline, or all there are. Returns how many, 0 at the end of the stream, or
 * -errno. There is room.
 */
static ssize_t read_up_to_newline(struct control_client *client)
{
	char *start = client->line + client->line_len;
	size_t room = sizeof(client->line) - client->line_len;
	ssize_t len = recv(client->socket, start, room, MSG_PEEK);
	const char *newline;

	if (len <= 0) {
		return len < 0 ? -errno : 0;
	}
	newline = memchr(start, '\n', (size_t)len);
	len = recv(client->socket, start, newline ? (size_t)(newline - start) + 1 : (size_t)len, 0);
	return len < 0 ? -errno : len;
}

static void read_client(struct control_client *client)
{
	ssize_t len = read_up_to_newline(client);

	if (len == -EAGAIN || len == -EINTR) {
		return;
	}
	if (len <= 0) {
		destroy_client(client);
		return;
	}
	client->line_len += (size_t)len;
	if (client->line[client->line_len - 1] == '\n') {
		handle_line(client);
	} else if (client->line_len == sizeof(client->line)) {
		refuse_line(client);
	}
}

static void handle_client(void *data, int events)
{
	struct control_client *client = data;

	(void)events;
	if (client->answer) {
		write_client(client);
	} else {
		read_client(client);
	}
}

static int add_client(struct control *control, int socket)
{
	struct control_client *client = calloc(1, sizeof(*client));

	if (!client) {
		return -ENOMEM;
	}
	client->source = loop_add_fd(control->loop, socket, LOOP_READABLE, handle_client, client);
	if (!client->source) {
		free(client);
		return -ENOMEM;
	}
	client->control = control;
	client->socket = socket;
	client->answer_fd = -1;
	list_append(&control->clients, &client->link);
	control->client_count++;
	return 0;
}

static void handle_pause_ended(void *data)
{
	struct control *control = data;

	loop_fd_set_events(control->source, LOOP_READABLE);
}

static void handle_accept_error(struct control *control, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED) {
		return;
	}
	log_errno(
		LOG_WARN, error, "cannot accept a control client, trying again in %d ms", PAUSE_MS);
	loop_fd_set_events(control->source, 0);
	loop_timer_start(control->pause, PAUSE_MS);
}

static void handle_connection(void *data, int events)
{
	struct control *control = data;
	int socket = accept4(control->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (socket < 0) {
		handle_accept_error(control, errno);
		return;
	}
	if (control->client_count == CONTROL_CLIENT_MAX) {
		/* A new socket has room for it; if not, nothing is lost. */
		send(socket, too_many_text, sizeof(too_many_text) - 1, MSG_NOSIGNAL);
		fd_close(&socket);
	} else if (add_client(control, socket) < 0) {
		fd_close(&socket);
	}
}

struct control *control_create(struct loop *loop, int socket, control_handle_fn handle, void *data)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		log_error("no memory for the control socket");
		return NULL;
	}
	control->loop = loop;
	control->socket = socket;
	control->handle = handle;
	control->data = data;
	list_init(&control->clients);
	control->pause = loop_add_timer(loop, handle_pause_ended, control);
	control->source = loop_add_fd(loop, socket, LOOP_READABLE, handle_connection, control);
	if (!control->pause || !control->source) {
		control_destroy(control);
		return NULL;
	}
	return control;
}

void control_destroy(struct control *control)
{
	struct list *link;

	if (!control) {
		return;
	}
	while ((link = list_first(&control->clients))) {
		destroy_client(container_of(link, struct control_client, link));
	}
	loop_remove_fd(control->source);
	loop_remove_timer(control->pause);
	free(control);
}
