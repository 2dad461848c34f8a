/* SPDX-License-Identifier: MIT */
#include "run/client_impl.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

int client_refuse(struct client *client, const char *what, uint32_t value)
{
	log_error("client %.*s: %s (%u)", (int)client->name_len, client->name, what, value);
	return -EPROTO;
}

/* Commands' ends must be looked for while nothing comes: they end waits, and blobs are to be unmapped. */
static bool is_needed(const struct client *client)
{
	return client->device->in_flight > 0 &&
		(syncs_are_awaited(&client->syncs) || blobs_are_busy(&client->resources.blobs));
}

static int wait_for_bytes(struct client *client)
{
	int ready = 0;

	while (ready == 0 && is_needed(client)) {
		ready = device_wait_with(client->device, client->socket);
		if (ready == 0) {
			ready = blobs_settle(&client->resources.blobs);
		}
	}
	return ready < 0 ? ready : 0;
}

/* Reads what there is: bytes, 0 at the end of the stream, or -errno. Looks for it before it sleeps. */
static ssize_t fill(struct client *client)
{
	ssize_t got = input_fill(&client->input, client->device->spin_us);
	int error;

	if (got != -EAGAIN) {
		return got;
	}
	device_kick(client->device);
	error = wait_for_bytes(client);
	return error < 0 ? error : input_fill(&client->input, INPUT_WAIT);
}

/* Waits for size bytes of input. Returns 1, 0 at the end of the stream, or -errno. */
int client_need(struct client *client, size_t size)
{
	struct input *input = &client->input;

	while (!input_reserve(input, size)) {
		int error = device_wait(client->device, client->device->in_flight - 1);

		if (error < 0) {
			return error;
		}
	}
	while (input_available(input) < size) {
		ssize_t got = fill(client);

		if (got == 0 || (got < 0 && got != -EINTR)) {
			return (int)got;
		}
	}
	return 1;
}

int client_need_all(struct client *client, size_t size)
{
	int got = client_need(client, size);

	return got == 0 ? client_refuse(client, "it hung up in the middle of a message", 0) : got;
}

int client_reply(struct client *client, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t sent = send(client->socket, at, size, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR) {
			return -errno;
		}
		if (sent > 0) {
			at += sent;
			size -= (size_t)sent;
		}
	}
	return 0;
}

/* An answer of one number. */
int client_reply_number(struct client *client, uint32_t command, uint32_t value)
{
	const uint32_t message[3] = { 1, command, value };

	return client_reply(client, message, sizeof(message));
}

/* Clients read a descriptor with one byte of its own. */
int client_reply_fd(struct client *client, int fd)
{
	char byte = 0;
	const struct iovec iov = { &byte, 1 };
	ssize_t sent = fd_send(client->socket, &iov, 1, &fd, 1);

	return sent < 0 ? (int)sent : 0;
}
