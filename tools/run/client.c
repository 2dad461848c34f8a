/* SPDX-License-Identifier: MIT */
#include "run/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "run/client_impl.h"

/*
 * How this works
 *
 * One client is served by one thread that does one thing after another: it reads a message, turns it into
 * commands, reads the next. Commands run on meanwhile; it waits for them only where the client waits for an
 * answer that depends on them. Streams and transfers are published to the daemon at once; what has time, such as
 * the end of a resource, when this process goes to sleep or something else is published.
 *
 * A sleeping process is woken late, so before it sleeps it looks for bytes and answers for spin_us.
 *
 * Everything in a message is copied out of the input before it is looked at, except command streams,
 * which the daemon copies. Any error ends the client: vtest has no other way to tell one.
 */

typedef int (*command_fn)(struct client *client, const void *body, uint32_t length);

struct command {
	const char *name;
	uint32_t size; // bytes of the body that are handed to the function
	bool needs_context;
	command_fn run;
};

#define WORDS(count) ((count) * 4)

static const struct command commands[VTEST_COMMAND_COUNT] = {
	[VTEST_GET_CAPS] = { "GET_CAPS", 0, false, client_run_get_caps },
	[VTEST_RESOURCE_CREATE] = { "RESOURCE_CREATE", WORDS(10), true,
		client_run_resource_create },
	[VTEST_RESOURCE_UNREF] = { "RESOURCE_UNREF", WORDS(1), true, client_run_resource_unref },
	[VTEST_TRANSFER_GET] = { "TRANSFER_GET", WORDS(11), true, client_run_transfer_get },
	[VTEST_TRANSFER_PUT] = { "TRANSFER_PUT", WORDS(11), true, client_run_transfer_put },
	[VTEST_SUBMIT_CMD] = { "SUBMIT_CMD", 0, true, client_run_submit },
	[VTEST_RESOURCE_BUSY_WAIT] = { "RESOURCE_BUSY_WAIT", WORDS(2), false,
		client_run_busy_wait },
	[VTEST_GET_CAPS2] = { "GET_CAPS2", 0, false, client_run_get_caps2 },
	[VTEST_PING_PROTOCOL_VERSION] = { "PING_PROTOCOL_VERSION", 0, false, client_run_ping },
	[VTEST_PROTOCOL_VERSION] = { "PROTOCOL_VERSION", WORDS(1), false,
		client_run_protocol_version },
	[VTEST_RESOURCE_CREATE2] = { "RESOURCE_CREATE2", WORDS(11), true,
		client_run_resource_create2 },
	[VTEST_TRANSFER_GET2] = { "TRANSFER_GET2", WORDS(10), true, client_run_transfer_get2 },
	[VTEST_TRANSFER_PUT2] = { "TRANSFER_PUT2", WORDS(10), true, client_run_transfer_put2 },
	[VTEST_GET_PARAM] = { "GET_PARAM", WORDS(1), false, client_run_get_param },
	[VTEST_GET_CAPSET] = { "GET_CAPSET", WORDS(2), false, client_run_get_capset },
	[VTEST_CONTEXT_INIT] = { "CONTEXT_INIT", WORDS(1), false, client_run_context_init },
	[VTEST_RESOURCE_CREATE_BLOB] = { "RESOURCE_CREATE_BLOB", WORDS(6), true,
		client_run_resource_create_blob },
	[VTEST_SYNC_CREATE] = { "SYNC_CREATE", WORDS(2), true, client_run_sync_create },
	[VTEST_SYNC_UNREF] = { "SYNC_UNREF", WORDS(1), true, client_run_sync_unref },
	[VTEST_SYNC_READ] = { "SYNC_READ", WORDS(1), true, client_run_sync_read },
	[VTEST_SYNC_WRITE] = { "SYNC_WRITE", WORDS(3), true, client_run_sync_write },
	[VTEST_SYNC_WAIT] = { "SYNC_WAIT", 0, true, client_run_sync_wait },
	[VTEST_SUBMIT_CMD2] = { "SUBMIT_CMD2", 0, true, client_run_submit2 },
};

enum {
	BODY_MAX = WORDS(11),
};

int client_need_context(struct client *client)
{
	return client->device->has_context
		? 0
		: device_create_context(
			  client->device, client->capset_id, client->name, client->name_len);
}

static int run_command(struct client *client, const struct vtest_header *header)
{
	uint32_t body[BODY_MAX / 4];
	const struct command *command = header->command < VTEST_COMMAND_COUNT
		? &commands[header->command]
		: NULL;
	int error;

	if (!command || !command->run) {
		return client_refuse(client, "there is no command of the number", header->command);
	}
	/* Lengths of fixed messages are not to be trusted: Mesa's of TRANSFER_PUT2 counts bytes that never come. */
	error = command->size > 0 ? client_need_all(client, command->size) : 0;
	if (error < 0) {
		return error;
	}
	memcpy(body, input_at(&client->input), command->size);
	input_take(&client->input, command->size);
	error = blobs_settle(&client->resources.blobs);
	if (error == 0 && command->needs_context) {
		error = client_need_context(client);
	}
	if (error < 0) {
		return error;
	}
	log_debug("client %.*s: %s", (int)client->name_len, client->name, command->name);
	return command->run(client, body, header->length);
}

/* Returns 1, 0 at the end of the stream, or -errno. */
static int read_header(struct client *client, struct vtest_header *header)
{
	int got = client_need(client, sizeof(*header));

	if (got == 0 && input_available(&client->input) > 0) {
		return client_refuse(client, "it hung up in the middle of a header", 0);
	}
	if (got > 0) {
		memcpy(header, input_at(&client->input), sizeof(*header));
		input_take(&client->input, sizeof(*header));
	}
	return got;
}

/* The name is for people: whatever is not plain text in it becomes a question mark. */
static void keep_name(struct client *client, const char *name, uint32_t size)
{
	while (client->name_len < size && client->name_len < sizeof(client->name) &&
		name[client->name_len]) {
		unsigned char letter = (unsigned char)name[client->name_len];

		client->name[client->name_len++] = letter < ' ' || letter > '~' ? '?'
										: (char)letter;
	}
}

/* CREATE_RENDERER comes first, and once; its length counts bytes. */
static int greet(struct client *client)
{
	struct vtest_header header;
	int got = read_header(client, &header);

	if (got <= 0) {
		return got;
	}
	if (header.command != VTEST_CREATE_RENDERER || header.length > INPUT_MESSAGE_MAX) {
		return client_refuse(
			client, "it does not begin with its name, but with", header.command);
	}
	got = header.length > 0 ? client_need_all(client, header.length) : 1;
	if (got > 0) {
		keep_name(client, input_at(&client->input), header.length);
		input_take(&client->input, header.length);
	}
	return got;
}

static int run_commands(struct client *client)
{
	struct vtest_header header;
	int got = greet(client);

	while (got > 0) {
		got = read_header(client, &header);
		if (got > 0) {
			int error = run_command(client, &header);

			got = error < 0 ? error : 1;
		}
	}
	return got;
}

int client_serve(int socket, struct device *device, uint64_t max_bytes)
{
	struct client *client = calloc(1, sizeof(*client));
	int error;

	if (!client) {
		return -ENOMEM;
	}
	client->socket = socket;
	client->device = device;
	resources_init(&client->resources, device, max_bytes);
	syncs_init(&client->syncs);
	error = input_init(&client->input, socket, &device->gpu.memory);
	if (error == 0) {
		error = run_commands(client);
	}
	device_hang_up(device); // ends of commands point into what is freed now
	syncs_finish(&client->syncs);
	resources_finish(&client->resources);
	input_finish(&client->input);
	free(client);
	return error;
}
