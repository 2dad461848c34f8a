/* SPDX-License-Identifier: MIT */
#ifndef RUN_CLIENT_IMPL_H
#define RUN_CLIENT_IMPL_H

/* What the files that serve a client share. */

#include "run/client.h"
#include "run/input.h"
#include "run/resource.h"
#include "run/sync.h"
#include "run/vtest.h"

enum {
	MESSAGE_MAX = (int)INPUT_MESSAGE_MAX < (int)DEVICE_REQUEST_MAX ? (int)INPUT_MESSAGE_MAX
								       : (int)DEVICE_REQUEST_MAX,
};

struct client {
	int socket;
	struct device *device;
	struct input input;
	struct resources resources;
	struct syncs syncs;
	bool is_taken; // has the last batch without a ring ended?
	uint32_t version;
	uint32_t capset_id; // as CONTEXT_INIT said; 0: VirGL
	char name[64];
	uint32_t name_len;
};

/* client_io.c. All return 0 or -errno, after which the client is given up. */

/* Says what the client did wrong; returns -EPROTO. */
int client_refuse(struct client *client, const char *what, uint32_t value);

/* Waits for size bytes of input, at most INPUT_MESSAGE_MAX. Returns 1, 0 at the end of the stream, or -errno. */
int client_need(struct client *client, size_t size);

/* The same in the middle of a message, where the end is an error. */
int client_need_all(struct client *client, size_t size);

int client_reply(struct client *client, const void *bytes, size_t size);

/* An answer of one number. */
int client_reply_number(struct client *client, uint32_t command, uint32_t value);

/* A descriptor (borrowed), as clients read it: with one byte of its own. */
int client_reply_fd(struct client *client, int fd);

/* client.c: makes the context, unless it is there. Returns 0 or -errno. */
int client_need_context(struct client *client);

/*
 * The commands of vtest. body has the bytes of a fixed message, aligned; length is the header's, and to be trusted
 * only where the message has no fixed size. Return 0 or more, or -errno, after which the client is given up.
 */
int client_run_get_caps(struct client *client, const void *body, uint32_t length);
int client_run_get_caps2(struct client *client, const void *body, uint32_t length);
int client_run_get_capset(struct client *client, const void *body, uint32_t length);
int client_run_ping(struct client *client, const void *body, uint32_t length);
int client_run_protocol_version(struct client *client, const void *body, uint32_t length);
int client_run_get_param(struct client *client, const void *body, uint32_t length);
int client_run_context_init(struct client *client, const void *body, uint32_t length);
int client_run_resource_create(struct client *client, const void *body, uint32_t length);
int client_run_resource_create2(struct client *client, const void *body, uint32_t length);
int client_run_resource_create_blob(struct client *client, const void *body, uint32_t length);
int client_run_resource_unref(struct client *client, const void *body, uint32_t length);
int client_run_submit(struct client *client, const void *body, uint32_t length);
int client_run_transfer_get2(struct client *client, const void *body, uint32_t length);
int client_run_transfer_put2(struct client *client, const void *body, uint32_t length);
int client_run_transfer_get(struct client *client, const void *body, uint32_t length);
int client_run_transfer_put(struct client *client, const void *body, uint32_t length);
int client_run_busy_wait(struct client *client, const void *body, uint32_t length);
int client_run_sync_create(struct client *client, const void *body, uint32_t length);
int client_run_sync_unref(struct client *client, const void *body, uint32_t length);
int client_run_sync_read(struct client *client, const void *body, uint32_t length);
int client_run_sync_write(struct client *client, const void *body, uint32_t length);
int client_run_sync_wait(struct client *client, const void *body, uint32_t length);
int client_run_submit2(struct client *client, const void *body, uint32_t length);

#endif
