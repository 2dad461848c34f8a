/* SPDX-License-Identifier: MIT */
#include "display/vmm/vmm_impl.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

/*
 * How this works
 *
 * A question waits in `queries` until it is told to the listener. One of each kind is on the wire at a
 * time: then an entry in `expected`, in the order of asking, stands for the reply. When the time is up
 * the query goes, but the entry stays: a reply may still come, and must not be taken for that to the
 * next question. QEMU never answers a GET_EDID for an output that it does not have, so a barrier follows:
 * GET_PROTOCOL_FEATURES, which is always answered, and in order. Its reply ends all entries before it.
 */

/* A guest waits for its screen's size, and QEMU's main loop may be busy for some 100 ms. */
#define QUERY_TIMEOUT_MS 1000

/* As many as a full queue of requests. */
#define QUERY_MAX 1024

#define FEATURE(name) (UINT64_C(1) << VMM_PROTOCOL_F_##name)

static struct log_limit late_answers = LOG_LIMIT_INIT;

static bool has_edid(const struct vmm_display *display)
{
	return display->features & FEATURE(EDID);
}

static struct vmm_query *to_query(struct list *link)
{
	return container_of(link, struct vmm_query, link);
}

static bool is_expected(const struct vmm_display *display, uint32_t request)
{
	for (uint32_t i = 0; i < display->expected_count; i++) {
		if (display->expected[i].request == request) {
			return true;
		}
	}
	return false;
}

static bool send_question(struct vmm_display *display, uint32_t request, struct vmm_query *query)
{
	uint32_t size = query && request == VMM_GET_EDID ? sizeof(query->output) : 0;

	assert(display->expected_count < VMM_EXPECTED_MAX);
	if (!vmm_outbox_append(&display->outbox, request, size > 0 ? &query->output : NULL, size,
		    VMM_OUTBOX_COPY_MAX + VMM_OUTBOX_RESERVE)) {
		return false; // when there is room again
	}
	display->expected[display->expected_count++] = (struct vmm_expected){ request, query };
	loop_deferred_schedule(display->turn_end);
	return true;
}

static bool may_ask(const struct vmm_display *display, uint32_t request)
{
	return !is_expected(display, request) &&
		(request != VMM_GET_EDID || display->features_known);
}

static bool needs_barrier(const struct vmm_display *display)
{
	for (uint32_t i = 0; i < display->expected_count; i++) {
		if (!display->expected[i].query) {
			return !is_expected(display, VMM_GET_PROTOCOL_FEATURES);
		}
	}
	return false;
}

void vmm_send_queries(struct vmm_display *display)
{
	if (display->socket < 0) {
		return;
	}
	if (needs_barrier(display)) {
		send_question(display, VMM_GET_PROTOCOL_FEATURES, NULL);
	}
	list_for_each(link, &display->queries) {
		struct vmm_query *query = to_query(link);

		if (!query->asked && may_ask(display, query->request)) {
			query->asked = send_question(display, query->request, query);
		}
	}
}

void vmm_start_queries(struct vmm_display *display)
{
	send_question(display, VMM_GET_PROTOCOL_FEATURES, NULL);
}

static void start_timer(struct vmm_display *display)
{
	struct list *first = list_first(&display->queries);
	uint64_t now = loop_now_ns();
	uint64_t deadline;

	if (first && !loop_timer_is_running(display->query_timer)) {
		deadline = to_query(first)->deadline_ns;
		loop_timer_start(display->query_timer,
			deadline > now ? (uint32_t)((deadline - now) / 1000000 + 1) : 0);
	}
}

static uint32_t count_queries(const struct vmm_display *display)
{
	uint32_t count = 0;

	list_for_each(link, &display->queries) {
		count++;
	}
	return count;
}

int vmm_ask(struct vmm_display *display, uint32_t request, uint32_t output, uint64_t token)
{
	struct vmm_query *query;

	if (display->socket < 0) {
		return -EPIPE;
	}
	if (request == VMM_GET_EDID && display->features_known && !has_edid(display)) {
		return -ENOTSUP;
	}
	query = count_queries(display) < QUERY_MAX ? malloc(sizeof(*query)) : NULL;
	if (!query) {
		return -ENOMEM;
	}
	*query = (struct vmm_query){
		.request = request,
		.output = output,
		.token = token,
		.deadline_ns = loop_now_ns() + QUERY_TIMEOUT_MS * UINT64_C(1000000),
	};
	list_append(&display->queries, &query->link);
	start_timer(display);
	vmm_send_queries(display);
	return DISPLAY_PENDING;
}

/* Nobody answers the query: vmm_settle tells. */
static void end_query(struct vmm_display *display, struct vmm_query *query)
{
	for (uint32_t i = 0; i < display->expected_count; i++) {
		if (display->expected[i].query == query) {
			display->expected[i].query = NULL;
		}
	}
	list_remove(&query->link);
	list_append(&display->unanswered, &query->link);
	loop_deferred_schedule(display->turn_end);
}

static void end_queries_of(struct vmm_display *display, uint32_t request)
{
	list_for_each_safe(link, next, &display->queries) {
		if (to_query(link)->request == request) {
			end_query(display, to_query(link));
		}
	}
}

void vmm_end_queries(struct vmm_display *display)
{
	end_queries_of(display, VMM_GET_DISPLAY_INFO);
	end_queries_of(display, VMM_GET_EDID);
	display->expected_count = 0;
}

void vmm_handle_query_timer(void *data)
{
	struct vmm_display *display = data;
	uint64_t now = loop_now_ns();

	list_for_each_safe(link, next, &display->queries) {
		if (to_query(link)->deadline_ns > now) {
			break;
		}
		display->stats.late_answers++;
		log_limited(&late_answers, LOG_WARN, "the VMM does not answer %s",
			to_query(link)->request == VMM_GET_EDID ? "GET_EDID" : "GET_DISPLAY_INFO");
		end_query(display, to_query(link));
	}
	loop_timer_stop(display->query_timer);
	start_timer(display);
	vmm_send_queries(display);
	vmm_settle(display);
}

/* Takes the entries up to the one of request out; returns whose it was. */
static struct vmm_query *take_expected(struct vmm_display *display, uint32_t request)
{
	struct vmm_query *query = NULL;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < display->expected_count; i++) {
		if (display->expected[i].request == request) {
			query = display->expected[i].query;
		} else {
			display->expected[kept++] = display->expected[i];
		}
	}
	display->expected_count = kept;
	return query;
}

/* All that was asked before the barrier and not answered by now never will be. */
static void drop_before_barrier(struct vmm_display *display)
{
	uint32_t at = 0;

	while (display->expected[at].request != VMM_GET_PROTOCOL_FEATURES) {
		if (display->expected[at].query) {
			end_query(display, display->expected[at].query);
		}
		at++;
	}
	display->expected_count -= at;
	memmove(display->expected, display->expected + at,
		display->expected_count * sizeof(display->expected[0]));
}

static void handle_features(struct vmm_display *display, const uint8_t *payload)
{
	uint64_t features;

	drop_before_barrier(display);
	take_expected(display, VMM_GET_PROTOCOL_FEATURES);
	if (display->features_known) {
		return;
	}
	memcpy(&features, payload, sizeof(features));
	display->features_known = true;
	display->features = features & display->features_wanted;
	vmm_outbox_append(&display->outbox, VMM_SET_PROTOCOL_FEATURES, &display->features,
		sizeof(display->features), VMM_OUTBOX_COPY_MAX + VMM_OUTBOX_RESERVE);
	loop_deferred_schedule(display->turn_end);
	if (!has_edid(display)) {
		end_queries_of(display, VMM_GET_EDID);
	}
}

static int handle_info(struct vmm_display *display, const uint8_t *payload)
{
	struct virtio_gpu_resp_display_info reply;
	struct display_info info = { 0 };
	struct vmm_query *query;

	memcpy(&reply, payload, sizeof(reply));
	if (le32toh(reply.hdr.type) != VIRTIO_GPU_RESP_OK_DISPLAY_INFO) {
		return -EPROTO;
	}
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		const struct virtio_gpu_display_one *mode = &reply.pmodes[i];

		info.outputs[i] = (struct display_output_info){
			.enabled = mode->enabled != 0,
			.rect = { le32toh(mode->r.x), le32toh(mode->r.y), le32toh(mode->r.width),
				le32toh(mode->r.height) },
		};
	}
	query = take_expected(display, VMM_GET_DISPLAY_INFO);
	if (query) {
		uint64_t token = query->token;

		list_remove(&query->link);
		free(query);
		display->base.listener->info_ready(display->base.listener_data, token, &info);
	}
	return 0;
}

static int handle_edid(struct vmm_display *display, const uint8_t *payload)
{
	struct virtio_gpu_resp_edid reply;
	struct display_edid edid = { 0 };
	struct vmm_query *query;

	memcpy(&reply, payload, sizeof(reply));
	edid.size = le32toh(reply.size);
	if (le32toh(reply.hdr.type) != VIRTIO_GPU_RESP_OK_EDID || edid.size > sizeof(edid.bytes)) {
		return -EPROTO;
	}
	memcpy(edid.bytes, reply.edid, edid.size);
	query = take_expected(display, VMM_GET_EDID);
	if (query) {
		uint64_t token = query->token;

		list_remove(&query->link);
		free(query);
		display->base.listener->edid_ready(display->base.listener_data, token, &edid);
	}
	return 0;
}

/* Bytes of the reply's payload. */
static uint32_t reply_size(uint32_t request)
{
	switch (request) {
	case VMM_GET_PROTOCOL_FEATURES:
		return sizeof(uint64_t);
	case VMM_GET_DISPLAY_INFO:
		return sizeof(struct virtio_gpu_resp_display_info);
	case VMM_GET_EDID:
		return sizeof(struct virtio_gpu_resp_edid);
	default:
		return 0;
	}
}

static int check_header(const struct vmm_display *display, const struct vmm_header *header)
{
	bool awaited = header->request == VMM_DMABUF_UPDATE ? !list_is_empty(&display->drawings)
							    : is_expected(display, header->request);

	if (header->flags != VMM_FLAG_REPLY || header->size != reply_size(header->request) ||
		!awaited) {
		return -EPROTO;
	}
	return 0;
}

static int handle_payload(struct vmm_display *display, uint32_t request, const uint8_t *payload)
{
	if (request == VMM_GET_DISPLAY_INFO) {
		return handle_info(display, payload);
	}
	if (request == VMM_GET_EDID) {
		return handle_edid(display, payload);
	}
	if (request == VMM_DMABUF_UPDATE) {
		vmm_end_drawing(display);
		return 0;
	}
	handle_features(display, payload);
	return 0;
}

/* Handles the reply once it is whole. */
static int handle_bytes(struct vmm_display *display)
{
	struct vmm_header header;
	int result;

	if (display->reply_size < sizeof(header)) {
		return 0;
	}
	memcpy(&header, display->reply, sizeof(header));
	result = check_header(display, &header);
	if (result == 0 && display->reply_size == sizeof(header) + header.size) {
		display->reply_size = 0;
		result = handle_payload(display, header.request, display->reply + sizeof(header));
	}
	if (result < 0) {
		log_error("the VMM sent a wrong reply on the display socket: request %u, flags "
			  "%#x, %u bytes",
			header.request, header.flags, header.size);
	}
	return result;
}

/* Bytes still missing: of the header, then of what it promises (checked by then). */
static size_t bytes_missing(const struct vmm_display *display)
{
	struct vmm_header header;

	if (display->reply_size < sizeof(header)) {
		return sizeof(header) - display->reply_size;
	}
	memcpy(&header, display->reply, sizeof(header));
	return sizeof(header) + header.size - display->reply_size;
}

void vmm_read_replies(struct vmm_display *display)
{
	ssize_t count = 0;

	while (display->socket >= 0) {
		count = recv(display->socket, display->reply + display->reply_size,
			bytes_missing(display), 0);
		if (count <= 0) {
			break;
		}
		display->reply_size += (size_t)count;
		if (handle_bytes(display) < 0) {
			vmm_hang_up(display);
			return;
		}
	}
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
		vmm_hang_up(display);
	} else {
		vmm_send_queries(display);
	}
}
