/* SPDX-License-Identifier: MIT */
#include "support/remote_renderer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "frame/frame_impl.h"
#include "render/render_impl.h"
#include "render/soft/soft.h"

/*
 * How this works
 *
 * Messages are a struct remote_message, for an attachment followed by its spans. Resources and frames are
 * numbered by the parent. The child does one message after the other and answers those with a token.
 * Reading a frame is a round trip: the answer carries the pixels. Ends of operations that arrive during
 * one are kept for the next pump, as none may come from within a call.
 */

enum remote_kind {
	REMOTE_CREATE_IMAGE,
	REMOTE_CREATE_BLOB,
	REMOTE_ATTACH,
	REMOTE_DETACH,
	REMOTE_TRANSFER,
	REMOTE_DESTROY,
	REMOTE_GET_FRAME,
	REMOTE_READ_FRAME,
	REMOTE_DROP_FRAME,
	REMOTE_DONE, // from the child: an operation ended
	REMOTE_PIXELS, // from the child: rows without gaps follow
};

struct remote_message {
	uint32_t kind;
	uint32_t resource; // index
	uint32_t frame; // index
	int32_t result;
	uint64_t token;
	uint64_t count; // of what follows
	bool has_layout;
	struct rect rect;
	struct render_image_info image;
	struct render_blob_info blob;
	struct render_blob_layout layout;
	struct render_transfer transfer;
};

#define TABLE_MAX 65536u
#define ENDED_MAX 8192u

static bool write_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	while (len) {
		ssize_t done = send(fd, from, len, MSG_NOSIGNAL);

		if (done <= 0) {
			return false;
		}
		from += done;
		len -= (size_t)done;
	}
	return true;
}

static bool read_all(int fd, void *bytes, size_t len)
{
	uint8_t *to = bytes;

	while (len) {
		ssize_t done = recv(fd, to, len, 0);

		if (done <= 0) {
			return false;
		}
		to += done;
		len -= (size_t)done;
	}
	return true;
}

/* The child */

static struct render_resource *child_resources[TABLE_MAX];
static struct frame *child_frames[TABLE_MAX];
static struct renderer *child_renderer;

static void ignore_done(void *data, uint64_t token, int result)
{
	(void)data;
	(void)token;
	(void)result;
}

static void ignore_lost(void *data)
{
	(void)data;
}

static const struct render_listener_ops child_listener = {
	.operation_done = ignore_done,
	.lost = ignore_lost,
};

static int child_attach(int fd, const struct remote_message *message)
{
	struct render_resource *resource = child_resources[message->resource];
	struct memory_span *spans = malloc(message->count * sizeof(*spans) + 1);
	int result;

	if (!spans || !read_all(fd, spans, message->count * sizeof(*spans))) {
		_exit(1);
	}
	result = render_attach_backing(resource, spans, message->count, 0);
	free(spans);
	return result;
}

static int child_send_pixels(int fd, const struct remote_message *message)
{
	struct remote_message answer = { .kind = REMOTE_PIXELS };
	const struct rect *rect = &message->rect;
	struct frame *frame = child_frames[message->frame];
	struct frame_view view;

	answer.result = frame ? frame_begin_read(frame, rect, &view) : -ENOMEM;
	if (!write_all(fd, &answer, sizeof(answer)) || answer.result < 0) {
		return 0;
	}
	for (uint32_t y = 0; y < rect->height; y++) {
		write_all(
			fd, view.pixels + y * view.stride, (size_t)rect->width * FRAME_PIXEL_SIZE);
	}
	frame_end_read(frame);
	return 0;
}

static int child_do(int fd, const struct remote_message *message)
{
	struct render_resource **resource = &child_resources[message->resource];
	struct frame **frame = &child_frames[message->frame];

	switch (message->kind) {
	case REMOTE_CREATE_IMAGE:
		return render_create_image(child_renderer, &message->image, resource);
	case REMOTE_CREATE_BLOB:
		return render_create_blob(child_renderer, &message->blob, resource);
	case REMOTE_ATTACH:
		return child_attach(fd, message);
	case REMOTE_DETACH:
		return render_detach_backing(*resource, 0);
	case REMOTE_TRANSFER:
		return render_transfer_to_host(*resource, &message->transfer, 0);
	case REMOTE_DESTROY:
		return render_resource_destroy(*resource, 0);
	case REMOTE_GET_FRAME:
		*frame = render_get_frame(*resource, message->has_layout ? &message->layout : NULL);
		return *frame ? 0 : -ENOMEM;
	case REMOTE_READ_FRAME:
		return child_send_pixels(fd, message);
	case REMOTE_DROP_FRAME:
		frame_unref(*frame);
		return 0;
	default:
		_exit(1);
	}
}

static void child_run(int fd, struct memory *memory)
{
	struct remote_message message;

	child_renderer = soft_renderer_create(memory, &child_listener, NULL);
	while (child_renderer && read_all(fd, &message, sizeof(message))) {
		struct remote_message answer = { .kind = REMOTE_DONE, .token = message.token };

		answer.result = child_do(fd, &message);
		if (message.token && !write_all(fd, &answer, sizeof(answer))) {
			break;
		}
	}
	_exit(0);
}

/* The parent */

struct remote_renderer {
	struct renderer base;
	int fd; // -1 once the child is gone and that was told
	pid_t child;
	uint32_t pending; // operations whose end was not heard
	struct remote_message ended[ENDED_MAX]; // heard while waiting for pixels
	size_t ended_count;
	bool used_resources[TABLE_MAX];
	bool used_frames[TABLE_MAX];
	uint64_t pending_tokens[ENDED_MAX];
};

struct remote_resource {
	struct render_resource base;
	uint32_t index;
};

struct remote_frame {
	struct frame base;
	struct remote_renderer *remote;
	uint32_t index;
	struct frame *shadow;
	uint8_t *pixels;
	size_t stride;
};

static struct remote_renderer *to_remote(struct renderer *renderer)
{
	return container_of(renderer, struct remote_renderer, base);
}

static struct remote_resource *to_resource(struct render_resource *resource)
{
	return container_of(resource, struct remote_resource, base);
}

static uint32_t take_index(bool *used)
{
	for (uint32_t i = 0; i < TABLE_MAX; i++) {
		if (!used[i]) {
			used[i] = true;
			return i;
		}
	}
	abort();
}

static void send_message(struct remote_renderer *remote, const struct remote_message *message)
{
	if (remote->fd >= 0) {
		write_all(remote->fd, message, sizeof(*message));
	}
}

/* Sends an operation that ends later; token 0: nobody waits. */
static int begin(struct remote_renderer *remote, const struct remote_message *message)
{
	if (remote->fd < 0) {
		return -EIO;
	}
	send_message(remote, message);
	if (!message->token) {
		return 0;
	}
	assert(remote->pending < ENDED_MAX);
	remote->pending_tokens[remote->pending++] = message->token;
	return RENDER_PENDING;
}

static int remote_attach(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct remote_renderer *remote = to_remote(base->renderer);
	const struct remote_message message = {
		.kind = REMOTE_ATTACH,
		.resource = to_resource(base)->index,
		.token = token,
		.count = count,
	};
	int result = begin(remote, &message);

	if (result >= 0) {
		write_all(remote->fd, spans, count * sizeof(*spans));
	}
	return result;
}

static int remote_detach(struct render_resource *base, uint64_t token)
{
	const struct remote_message message = {
		.kind = REMOTE_DETACH,
		.resource = to_resource(base)->index,
		.token = token,
	};
	int result = begin(to_remote(base->renderer), &message);

	return result < 0 ? 0 : result; // a dead child holds nothing
}

static int remote_transfer(
	struct render_resource *base, const struct render_transfer *transfer, uint64_t token)
{
	const struct remote_message message = {
		.kind = REMOTE_TRANSFER,
		.resource = to_resource(base)->index,
		.token = token,
		.transfer = *transfer,
	};

	return begin(to_remote(base->renderer), &message);
}

static int remote_destroy(struct render_resource *base, uint64_t token)
{
	struct remote_renderer *remote = to_remote(base->renderer);
	struct remote_resource *resource = to_resource(base);
	const struct remote_message message = {
		.kind = REMOTE_DESTROY,
		.resource = resource->index,
		.token = token,
	};
	int result = begin(remote, &message);

	remote->used_resources[resource->index] = false;
	free(resource);
	return result < 0 ? 0 : result;
}

/* Waits for the pixels of a read; keeps the ends that come before. */
static int await_pixels(struct remote_renderer *remote)
{
	struct remote_message message;

	while (read_all(remote->fd, &message, sizeof(message))) {
		if (message.kind == REMOTE_PIXELS) {
			return message.result;
		}
		assert(remote->ended_count < ENDED_MAX);
		remote->ended[remote->ended_count++] = message;
	}
	return -EIO;
}

static int remote_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct remote_frame *frame = container_of(base, struct remote_frame, base);
	const struct remote_message message = {
		.kind = REMOTE_READ_FRAME,
		.frame = frame->index,
		.rect = *rect,
	};
	uint8_t *to = frame->pixels + rect->y * frame->stride + (size_t)rect->x * FRAME_PIXEL_SIZE;
	int result;

	if (frame->remote->fd < 0) {
		return -EIO;
	}
	send_message(frame->remote, &message);
	result = await_pixels(frame->remote);
	for (uint32_t y = 0; y < rect->height && result == 0; y++) {
		if (!read_all(frame->remote->fd, to, (size_t)rect->width * FRAME_PIXEL_SIZE)) {
			result = -EIO;
		}
		to += frame->stride;
	}
	return result < 0 ? result : frame_begin_read(frame->shadow, rect, view);
}

static void remote_end_read(struct frame *base)
{
	(void)base;
}

static void remote_frame_destroy(struct frame *base)
{
	struct remote_frame *frame = container_of(base, struct remote_frame, base);
	const struct remote_message message = { .kind = REMOTE_DROP_FRAME, .frame = frame->index };

	send_message(frame->remote, &message);
	frame->remote->used_frames[frame->index] = false;
	frame_unref(frame->shadow);
	free(frame);
}

static const struct frame_ops remote_frame_ops = {
	.begin_read = remote_begin_read,
	.end_read = remote_end_read,
	.start_read = frame_start_at_once,
	.stop_read = frame_stop_at_once,
	.get_dmabuf = frame_no_dmabuf,
	.destroy = remote_frame_destroy,
};

struct remote_image {
	struct remote_resource base;
	struct render_image_info info;
};

static struct frame *remote_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct remote_renderer *remote = to_remote(base->renderer);
	const struct remote_image *image = container_of(
		to_resource(base), struct remote_image, base);
	struct remote_frame *frame = calloc(1, sizeof(*frame));
	struct remote_message message = { .kind = REMOTE_GET_FRAME };
	uint32_t width = layout ? layout->width : image->info.width;
	uint32_t height = layout ? layout->height : image->info.height;
	uint32_t format = layout ? layout->format : image->info.format;

	assert(frame);
	frame->shadow = frame_create_private(width, height, format, &frame->pixels, &frame->stride);
	assert(frame->shadow);
	frame_init(&frame->base, &remote_frame_ops, width, height, format);
	frame->remote = remote;
	frame->index = take_index(remote->used_frames);
	message.resource = to_resource(base)->index;
	message.frame = frame->index;
	if (layout) {
		message.has_layout = true;
		message.layout = *layout;
	}
	send_message(remote, &message);
	return &frame->base;
}

static const struct render_resource_ops remote_resource_ops = {
	.attach_backing = remote_attach,
	.detach_backing = remote_detach,
	.transfer_to_host = remote_transfer,
	.get_frame = remote_get_frame,
	.destroy = remote_destroy,
};

static int create(struct renderer *base, struct remote_message *message,
	const struct render_image_info *info, struct render_resource **resource)
{
	struct remote_renderer *remote = to_remote(base);
	struct remote_image *image = calloc(1, sizeof(*image));

	assert(image);
	if (info) {
		image->info = *info;
	}
	image->base.index = take_index(remote->used_resources);
	message->resource = image->base.index;
	render_resource_init(&image->base.base, &remote_resource_ops, base);
	send_message(remote, message);
	*resource = &image->base.base;
	return 0;
}

static int remote_create_image(struct renderer *base, const struct render_image_info *info,
	struct render_resource **resource)
{
	struct remote_message message = { .kind = REMOTE_CREATE_IMAGE, .image = *info };

	return create(base, &message, info, resource);
}

static int remote_create_blob(struct renderer *base, const struct render_blob_info *info,
	struct render_resource **resource)
{
	struct remote_message message = { .kind = REMOTE_CREATE_BLOB, .blob = *info };

	return create(base, &message, NULL, resource);
}

static void reap(struct remote_renderer *remote)
{
	if (remote->fd >= 0) {
		close(remote->fd);
		remote->fd = -1;
		waitpid(remote->child, NULL, 0);
	}
}

static void remote_renderer_destroy(struct renderer *base)
{
	struct remote_renderer *remote = to_remote(base);

	reap(remote);
	free(remote);
}

static const struct render_ops remote_ops = {
	.create_image = remote_create_image,
	.create_blob = remote_create_blob,
	.destroy = remote_renderer_destroy,
};

struct renderer *remote_renderer_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data)
{
	struct remote_renderer *remote = calloc(1, sizeof(*remote));
	int ends[2];

	assert(remote);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		abort();
	}
	remote->child = fork();
	assert(remote->child >= 0);
	if (remote->child == 0) {
		close(ends[0]);
		child_run(ends[1], memory);
	}
	close(ends[1]);
	remote->fd = ends[0];
	renderer_init(&remote->base, &remote_ops, listener, listener_data);
	return &remote->base;
}

static void tell_ended(struct remote_renderer *remote, uint64_t token, int result)
{
	for (uint32_t i = 0; i < remote->pending; i++) {
		if (remote->pending_tokens[i] == token) {
			remote->pending_tokens[i] = remote->pending_tokens[--remote->pending];
			break;
		}
	}
	remote->base.listener->operation_done(remote->base.listener_data, token, result);
}

static void tell_kept(struct remote_renderer *remote)
{
	for (size_t i = 0; i < remote->ended_count; i++) {
		tell_ended(remote, remote->ended[i].token, remote->ended[i].result);
	}
	remote->ended_count = 0;
}

static void tell_lost(struct remote_renderer *remote)
{
	reap(remote);
	while (remote->pending) {
		tell_ended(remote, remote->pending_tokens[0], -EIO);
	}
	remote->base.listener->lost(remote->base.listener_data);
}

void remote_renderer_pump(struct renderer *renderer, bool wait)
{
	struct remote_renderer *remote = to_remote(renderer);
	struct remote_message message;

	tell_kept(remote);
	while (remote->fd >= 0) {
		struct pollfd poll_fd = { .fd = remote->fd, .events = POLLIN };

		if (poll(&poll_fd, 1, wait && remote->pending ? -1 : 0) <= 0) {
			return;
		}
		if (!read_all(remote->fd, &message, sizeof(message))) {
			tell_lost(remote);
			return;
		}
		tell_ended(remote, message.token, message.result);
		tell_kept(remote);
	}
}

void remote_renderer_kill(struct renderer *renderer)
{
	struct remote_renderer *remote = to_remote(renderer);

	kill(remote->child, SIGKILL);
}
