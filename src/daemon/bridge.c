/* SPDX-License-Identifier: MIT */
#include "daemon/bridge.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "display/headless/headless.h"
#include "display/vmm/vmm.h"
#include "memory/mmap.h"
#include "render/soft/soft.h"

/*
 * How this works
 *
 * A kick makes serve_queue pop requests until the ring is empty and hand each to the device. The
 * device completes most of them from within; the answers are pushed one by one and published together,
 * with one notification, when the batch ends. A long batch is published in pieces of PUBLISH_EVERY, so
 * that the driver works on the first answers while we work on the rest; one that is still awake asks
 * for no notification. Not so when work waits for the end of the turn (a display's bytes): the driver
 * would add to the batch, and put that end off. A completion that comes later (a flush that the VMM's
 * viewer has now read, an answered query) is published at the end of the loop's turn.
 *
 * Every request is in one of three places: with the device (between submit and complete), on a queue's
 * `held` list (completed while the queue was stopped: pushed when it starts again, void at reset), or
 * on the free list. A driver has at most as many requests in flight as the ring has entries, also
 * across stop and start; more is a broken ring.
 *
 * With poll_us, the rings are watched from an idle source for that long after the last request. It
 * spins for at most POLL_SLICE_NS a turn, so that sockets and timers are served too (and for one look
 * while the device waits for such to end a request), and the driver is told not to notify meanwhile.
 */

/* Long enough to catch a driver that answers at once, short enough not to delay other sources. */
#define POLL_SLICE_NS 20000u

/* Requests taken in one turn of the loop before other sources are looked at. */
#define BATCH_MAX VIRTQ_SIZE_MAX

/* Answers that a batch may hold back from the driver: some microseconds' worth. */
#define PUBLISH_EVERY 16

/* A free request keeps a buffer of at most this size: usual commands fit, scatter lists do not. */
#define KEPT_BUFFER_MAX 4096u

struct bridge_request {
	struct gpu_request gpu;
	struct virtq_request virtq;
	struct list link; // bridge.free_requests or bridge_queue.held
};

struct bridge_queue {
	struct bridge *bridge;
	uint32_t index;
	struct virtq *ring; // the session's; NULL while stopped
	struct list held; // bridge_request.link
	bool serving; // serve_queue runs: it will publish
	bool unpublished; // pushed and not published
	struct bridge_queue_stats stats;
};

struct bridge {
	struct loop *loop;
	struct bridge_config config;
	struct memory *memory;
	struct vhost_session *session;
	struct gpu_device *device;
	struct bridge_queue queues[WIRE_QUEUE_COUNT];
	struct list free_requests; // bridge_request.link
	struct loop_deferred *publish;
	struct loop_idle *poll;
	bool polling;
	uint64_t poll_until_ns;
	bool discarding; // reset or destroy: completions are void
	enum bridge_dialect dialect;
	uint64_t resets;
	bridge_closed_fn closed;
	void *closed_data;
};

/* What this back end can do with a ring, whatever the device. */
static const uint64_t ring_features = 1ull << VIRTIO_F_VERSION_1 |
	1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;

static void destroy_request(struct bridge_request *request)
{
	virtq_request_finish(&request->virtq);
	free(request);
}

static struct bridge_request *take_request(struct bridge *bridge)
{
	struct list *link = list_first(&bridge->free_requests);
	struct bridge_request *request;

	if (link) {
		list_remove(link);
		return container_of(link, struct bridge_request, link);
	}
	request = calloc(1, sizeof(*request));
	if (request) {
		list_init(&request->link);
	}
	return request;
}

static void give_request(struct bridge *bridge, struct bridge_request *request)
{
	if (request->virtq.bytes_capacity > KEPT_BUFFER_MAX) {
		virtq_request_finish(&request->virtq);
	}
	free(request->gpu.capset);
	request->gpu.capset = NULL;
	/* At the front: the memory used last is still in the cache. */
	list_insert_after(&bridge->free_requests, &request->link);
}

static void publish_queue(struct bridge_queue *queue)
{
	if (!queue->unpublished || !queue->ring) {
		return;
	}
	queue->unpublished = false;
	if (virtq_publish(queue->ring)) {
		vhost_session_call(queue->bridge->session, queue->index);
	}
}

static void handle_publish(void *data)
{
	struct bridge *bridge = data;

	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		publish_queue(&bridge->queues[i]);
	}
}

static void push_request(struct bridge_queue *queue, struct bridge_request *request)
{
	static struct log_limit limit = LOG_LIMIT_INIT;

	if (virtq_push(queue->ring, &request->virtq, gpu_request_answer(&request->gpu),
		    request->gpu.response_len) < 0) {
		log_limited(&limit, LOG_DEBUG, "queue %u: the place for an answer is no memory",
			queue->index);
	}
	queue->unpublished = true;
	queue->stats.depth--;
	give_request(queue->bridge, request);
}

static void discard_request(struct bridge_queue *queue, struct bridge_request *request)
{
	queue->stats.depth--;
	give_request(queue->bridge, request);
}

static void handle_complete(void *transport, struct gpu_request *gpu_request)
{
	struct bridge *bridge = transport;
	struct bridge_request *request = container_of(gpu_request, struct bridge_request, gpu);
	struct bridge_queue *queue = &bridge->queues[gpu_request->queue];

	if (bridge->discarding) {
		discard_request(queue, request);
	} else if (!queue->ring) {
		list_append(&queue->held, &request->link);
	} else {
		push_request(queue, request);
		if (!queue->serving) {
			loop_deferred_schedule(bridge->publish);
		}
	}
}

static void submit_request(struct bridge_queue *queue, struct bridge_request *request)
{
	struct gpu_request *gpu = &request->gpu;

	queue->stats.requests++;
	queue->stats.depth++;
	if (queue->stats.depth > queue->stats.depth_peak) {
		queue->stats.depth_peak = queue->stats.depth;
	}
	gpu->queue = queue->index;
	gpu->bytes = request->virtq.bytes;
	gpu->len = request->virtq.len;
	gpu->total_len = request->virtq.total_len;
	gpu_device_submit(queue->bridge->device, gpu);
}

static void fail_queue(struct bridge_queue *queue, const char *why)
{
	log_error("queue %u: %s; the queue stops until the driver sets it up anew", queue->index,
		why);
	publish_queue(queue);
	queue->ring = NULL;
	queue->stats.running = false;
	vhost_session_fail_queue(queue->bridge->session, queue->index);
}

/* Takes one request. Returns false when there is none to take now. */
static bool serve_request(struct bridge_queue *queue)
{
	struct bridge *bridge = queue->bridge;
	struct bridge_request *request = take_request(bridge);
	int result;

	result = request ? virtq_pop(queue->ring, &request->virtq, bridge->config.max_request)
			 : -ENOMEM;
	if (result == 1 && queue->stats.depth < VIRTQ_SIZE_MAX) {
		submit_request(queue, request);
		return true;
	}
	if (request) {
		give_request(bridge, request);
	}
	if (result == 1) {
		fail_queue(queue, "more requests in flight than the ring can hold");
	} else if (result == -ENOMEM) {
		fail_queue(queue, "no memory for a request");
	} else if (result < 0) {
		fail_queue(queue, "the ring breaks the rules of VIRTIO 1.3, 2.7");
	}
	return false;
}

static void stop_polling(struct bridge *bridge)
{
	bridge->polling = false;
	loop_idle_stop(bridge->poll);
}

/*
 * Keeps the loop turning until nothing came for poll_us: 0 still gives one more look, which a batch
 * that ran out of budget needs: it left the notifications off.
 */
static void start_polling(struct bridge *bridge)
{
	bridge->poll_until_ns = loop_now_ns() + (uint64_t)bridge->config.poll_us * 1000;
	if (!bridge->polling) {
		bridge->polling = true;
		loop_idle_start(bridge->poll);
	}
}

static void serve_requests(struct bridge_queue *queue, uint32_t *budget)
{
	while (*budget && serve_request(queue)) {
		--*budget;
		if (*budget % PUBLISH_EVERY == 0 && !loop_has_deferred(queue->bridge->loop)) {
			publish_queue(queue);
		}
	}
}

/* Serves what is there. Returns whether anything was. */
static bool serve_queue(struct bridge_queue *queue)
{
	uint32_t budget = BATCH_MAX;
	bool look_again;

	if (!queue->ring || !virtq_has_work(queue->ring)) {
		return false;
	}
	queue->serving = true;
	do {
		virtq_disable_notification(queue->ring);
		serve_requests(queue, &budget);
		publish_queue(queue);
		look_again = budget && queue->ring && !queue->bridge->config.poll_us &&
			virtq_enable_notification(queue->ring);
	} while (look_again);
	queue->serving = false;
	queue->stats.batches++;
	if (!budget || queue->bridge->config.poll_us) {
		start_polling(queue->bridge);
	}
	return true;
}

static bool serve_all(struct bridge *bridge)
{
	bool any = false;

	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		any |= serve_queue(&bridge->queues[i]);
	}
	return any;
}

/* Lets the driver notify again. Returns whether a request slipped in before. */
static bool enable_notifications(struct bridge *bridge)
{
	bool any = false;

	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		struct virtq *ring = bridge->queues[i].ring;

		any |= ring && virtq_enable_notification(ring);
	}
	return any;
}

/* Has the device requests that it will end later? What ends them comes by the loop's descriptors. */
static bool has_pending(const struct bridge *bridge)
{
	bool any = false;

	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		any |= bridge->queues[i].stats.depth > 0;
	}
	return any;
}

static void handle_poll(void *data)
{
	struct bridge *bridge = data;
	uint64_t now = loop_now_ns();
	uint64_t slice_end = now + POLL_SLICE_NS;

	do {
		if (serve_all(bridge)) {
			/* What was deferred (a display's bytes) waits for the end of the turn. */
			return;
		}
		now = loop_now_ns();
	} while (now < slice_end && now < bridge->poll_until_ns && !has_pending(bridge));
	if (now >= bridge->poll_until_ns && !enable_notifications(bridge)) {
		stop_polling(bridge);
	}
}

static void handle_queue_kicked(void *device, uint32_t index)
{
	struct bridge *bridge = device;

	serve_queue(&bridge->queues[index]);
}

static void handle_queue_started(void *device, uint32_t index, struct virtq *ring)
{
	struct bridge *bridge = device;
	struct bridge_queue *queue = &bridge->queues[index];
	struct list *link;

	queue->ring = ring;
	queue->stats.running = true;
	gpu_device_pause(bridge->device, false);
	while ((link = list_first(&queue->held))) {
		list_remove(link);
		push_request(queue, container_of(link, struct bridge_request, link));
	}
	publish_queue(queue);
	virtq_enable_notification(ring);
}

static void handle_queue_stopped(void *device, uint32_t index)
{
	struct bridge *bridge = device;
	struct bridge_queue *queue = &bridge->queues[index];

	publish_queue(queue);
	queue->ring = NULL;
	queue->stats.running = false;
}

static void handle_suspended(void *device)
{
	struct bridge *bridge = device;

	if (bridge->polling) {
		stop_polling(bridge);
	}
	gpu_device_pause(bridge->device, true);
}

static void discard_held(struct bridge_queue *queue)
{
	struct list *link;

	while ((link = list_first(&queue->held))) {
		list_remove(link);
		discard_request(queue, container_of(link, struct bridge_request, link));
	}
}

static void handle_reset(void *device)
{
	struct bridge *bridge = device;

	bridge->discarding = true;
	gpu_device_reset(bridge->device);
	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		discard_held(&bridge->queues[i]);
		assert(bridge->queues[i].stats.depth == 0);
	}
	bridge->discarding = false;
	bridge->resets++;
}

static uint64_t handle_get_features(void *device)
{
	struct bridge *bridge = device;

	return gpu_device_features(bridge->device) | ring_features;
}

static void handle_set_features(void *device, uint64_t features)
{
	struct bridge *bridge = device;

	gpu_device_set_features(bridge->device, features & ~ring_features);
}

static size_t handle_get_config(void *device, uint8_t config[static VHOST_CONFIG_MAX])
{
	struct bridge *bridge = device;
	struct wire_config space;

	gpu_device_get_config(bridge->device, &space);
	memcpy(config, &space, sizeof(space));
	return sizeof(space);
}

/* The driver can write events_clear alone (VIRTIO 1.3, 5.7.4); the rest of what comes is ignored. */
static int handle_set_config(void *device, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	struct bridge *bridge = device;
	union {
		struct wire_config fields;
		uint8_t bytes[sizeof(struct wire_config)];
	} space = { 0 };

	if (offset > sizeof(space) || size > sizeof(space) - offset) {
		return -EINVAL;
	}
	memcpy(space.bytes + offset, bytes, size);
	gpu_device_clear_events(bridge->device, le32toh(space.fields.events_clear));
	return 0;
}

static void handle_set_gpu_socket(void *device, int socket)
{
	struct bridge *bridge = device;
	const struct vmm_config config = { .dmabuf = bridge->config.dmabuf };
	struct display *display = vmm_display_create(bridge->loop, socket, &config);

	if (!display) {
		return;
	}
	if (bridge->dialect != BRIDGE_VMM_DISPLAY) {
		log_info("the VMM owns the display (vhost-user-gpu socket)");
	}
	bridge->dialect = BRIDGE_VMM_DISPLAY;
	gpu_device_set_display(bridge->device, display);
}

static void handle_window_operation_done(void *device, uint64_t token, int result)
{
	struct bridge *bridge = device;

	gpu_device_window_done(bridge->device, token, result);
}

static void handle_closed(void *device)
{
	struct bridge *bridge = device;

	bridge->closed(bridge->closed_data);
}

static const struct vhost_device_ops device_ops = {
	.get_features = handle_get_features,
	.set_features = handle_set_features,
	.get_config = handle_get_config,
	.set_config = handle_set_config,
	.queue_started = handle_queue_started,
	.queue_kicked = handle_queue_kicked,
	.queue_stopped = handle_queue_stopped,
	.suspended = handle_suspended,
	.reset = handle_reset,
	.set_gpu_socket = handle_set_gpu_socket,
	.window_operation_done = handle_window_operation_done,
	.closed = handle_closed,
};

static void handle_config_changed(void *transport)
{
	struct bridge *bridge = transport;

	/* With the VMM's display the VMM itself owns the configuration's events. */
	if (bridge->dialect == BRIDGE_OWN_DISPLAY) {
		vhost_session_config_changed(bridge->session);
	}
}

static uint64_t handle_window_size(void *transport)
{
	struct bridge *bridge = transport;

	return vhost_session_has_window(bridge->session) ? bridge->config.host_visible : 0;
}

static int handle_map(void *transport, const struct gpu_window_map *map, uint64_t token)
{
	struct bridge *bridge = transport;
	const struct vhost_window_map wanted = {
		.fd = map->fd,
		.offset = map->offset,
		.len = map->len,
		.writable = true,
	};

	return vhost_session_map(bridge->session, &wanted, token);
}

static int handle_unmap(void *transport, uint64_t offset, uint64_t len, uint64_t token)
{
	struct bridge *bridge = transport;

	return vhost_session_unmap(bridge->session, offset, len, token);
}

static const struct gpu_transport_ops transport_ops = {
	.complete = handle_complete,
	.config_changed = handle_config_changed,
	.window_size = handle_window_size,
	.map = handle_map,
	.unmap = handle_unmap,
};

static int create_device(struct bridge *bridge)
{
	const struct bridge_config *config = &bridge->config;
	const struct gpu_device_config device_config = {
		.max_memory = config->max_memory,
		.max_resources = config->max_resources,
		.outputs = config->outputs,
	};
	const struct headless_config display_config = {
		.loop = bridge->loop,
		.outputs = config->outputs,
		.width = config->width,
		.height = config->height,
	};
	struct renderer *renderer;
	struct display *display;

	bridge->device = gpu_device_create(&device_config, bridge->memory, &transport_ops, bridge);
	if (!bridge->device) {
		return -ENOMEM;
	}
	renderer = soft_renderer_create(
		bridge->memory, &gpu_device_render_listener, bridge->device);
	if (!renderer) {
		return -ENOMEM;
	}
	gpu_device_set_renderer(bridge->device, renderer);
	if (config->virgl) {
		renderer = virgl_renderer_of(
			config->virgl, bridge->memory, &gpu_device_render_listener, bridge->device);
		if (!renderer) {
			return -ENOMEM;
		}
		gpu_device_set_renderer_3d(bridge->device, renderer);
	}
	display = headless_display_create(&display_config);
	if (!display) {
		return -ENOMEM;
	}
	gpu_device_set_display(bridge->device, display);
	return 0;
}

static int create_sources(struct bridge *bridge)
{
	bridge->publish = loop_add_deferred(bridge->loop, handle_publish, bridge);
	bridge->poll = loop_add_idle(bridge->loop, handle_poll, bridge);
	return bridge->publish && bridge->poll ? 0 : -ENOMEM;
}

struct bridge *bridge_create(struct loop *loop, int socket, const struct bridge_config *config,
	bridge_closed_fn closed, void *data)
{
	const struct vhost_session_config session_config = {
		.queue_count = WIRE_QUEUE_COUNT,
		.max_memory_slots = config->max_resources,
		.window_size = config->host_visible,
	};
	struct bridge *bridge = calloc(1, sizeof(*bridge));

	if (!bridge) {
		log_error("no memory to serve a VM");
		fd_close(&socket);
		return NULL;
	}
	bridge->loop = loop;
	bridge->config = *config;
	bridge->closed = closed;
	bridge->closed_data = data;
	list_init(&bridge->free_requests);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		bridge->queues[i].bridge = bridge;
		bridge->queues[i].index = i;
		list_init(&bridge->queues[i].held);
	}
	bridge->memory = memory_create(&memory_mmap_ops, config->max_resources);
	if (!bridge->memory || create_sources(bridge) < 0 || create_device(bridge) < 0) {
		fd_close(&socket);
		goto fail;
	}
	bridge->session = vhost_session_create(
		loop, bridge->memory, socket, &session_config, &device_ops, bridge);
	if (!bridge->session) {
		goto fail;
	}
	return bridge;

fail:
	bridge_destroy(bridge);
	return NULL;
}

void bridge_destroy(struct bridge *bridge)
{
	struct list *link;

	if (!bridge) {
		return;
	}
	bridge->discarding = true;
	vhost_session_destroy(bridge->session);
	gpu_device_destroy(bridge->device);
	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		discard_held(&bridge->queues[i]);
	}
	while ((link = list_first(&bridge->free_requests))) {
		list_remove(link);
		destroy_request(container_of(link, struct bridge_request, link));
	}
	loop_remove_deferred(bridge->publish);
	loop_remove_idle(bridge->poll);
	memory_destroy(bridge->memory);
	free(bridge);
}

struct gpu_device *bridge_device(struct bridge *bridge)
{
	return bridge->device;
}

enum bridge_dialect bridge_dialect(const struct bridge *bridge)
{
	return bridge->dialect;
}

struct bridge_stats bridge_stats(const struct bridge *bridge)
{
	struct bridge_stats stats = {
		.session = vhost_session_stats(bridge->session),
		.resets = bridge->resets,
		.features = vhost_session_features(bridge->session),
	};

	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		stats.queues[i] = bridge->queues[i].stats;
	}
	return stats;
}
