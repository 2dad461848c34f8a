/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "frontend/commands_3d.h"
#include "support/daemon.h"

/*
 * The daemon with the real virglrenderer and its render server, and a front end of ours that is no Vulkan
 * driver: blobs, the window, fences of rings, and render processes that die, hang, or are asked for nonsense.
 * The Vulkan driver itself is used by other tests (test_programs.py, tests/vm/test_vulkan.py).
 *
 * VIRTIO_GPUD names a script that starts the daemon with Venus, VIRTIO_GPU_CTL the program, RENDER_SERVER the
 * file by which it starts the render server.
 */

enum {
	OK = VIRTIO_GPU_RESP_OK_NODATA,
	OK_MAP_INFO = VIRTIO_GPU_RESP_OK_MAP_INFO,
	ERR_UNSPEC = VIRTIO_GPU_RESP_ERR_UNSPEC,
	ERR_PARAMETER = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
	ERR_CONTEXT = VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID,
	CONTEXT = 1,
	OTHER = 2,
	BLOB = 10,
	CACHED = 1, // VIRTIO_GPU_MAP_CACHE_CACHED
	WIDTH = 16,
	HEIGHT = 8,
	STRIDE = WIDTH * 4 + 32, // bytes
	ANSWER_MS = 30000, // of a process that the daemon ends after 10 s, on a busy machine
	MANY = 300, // blobs
	FILLS_A_SOCKET =
		1000, // messages to a process that does not read: of a socket's usual size, 278 fit
	WATCH_US = 500000, // between the daemon's looks at contexts
};

#define WINDOW_SIZE (UINT64_C(4) << 30)

static uint64_t page;

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
};

static const struct fe_gpu_options gpu_options = {
	.dialect = FE_DIALECT_OWN,
	.renderer = true,
	.window = { .kind = FE_WINDOW_MAPPED },
};

static char control_path[64];
static char picture_path[64];
static FILE *said; // by the daemon; NULL: it goes to our own stderr

static int setup_with(void **state, const struct fe_gpu_options *options, const char *more)
{
	struct test *test = calloc(1, sizeof(*test));
	char arguments[128];

	assert_non_null(test);
	snprintf(control_path, sizeof(control_path), "/tmp/test-venus-%d.sock", (int)getpid());
	snprintf(picture_path, sizeof(picture_path), "/tmp/test-venus-%d.png", (int)getpid());
	snprintf(arguments, sizeof(arguments), "--control=%s --display=headless,mode=%dx%d%s",
		control_path, WIDTH, HEIGHT, more);
	page = (uint64_t)sysconf(_SC_PAGESIZE);
	test->gpu = &test->daemon.gpu;
	daemon_start(&test->daemon, arguments, options);
	test->gpu->timeout_ms = ANSWER_MS;
	assert_true(test->gpu->window.size == WINDOW_SIZE);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
	*state = test;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, &gpu_options, "");
}

static int setup_with_virgl(void **state)
{
	return setup_with(state, &gpu_options, " --virgl");
}

/* A front end that lists its mappings as memory, as QEMU does. */
static int setup_listing(void **state)
{
	struct fe_gpu_options options = gpu_options;

	options.window.lists = true;
	return setup_with(state, &options, "");
}

static int setup_with_log(void **state)
{
	int kept = dup(STDERR_FILENO);
	int error;

	said = tmpfile();
	assert_non_null(said);
	assert_true(dup2(fileno(said), STDERR_FILENO) >= 0);
	error = setup(state);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	return error;
}

static int teardown(void **state)
{
	struct test *test = *state;

	if (said) {
		fclose(said);
		said = NULL;
	}
	daemon_assert_alive(&test->daemon);
	daemon_stop(&test->daemon);
	unlink(picture_path);
	free(test);
	return 0;
}

static int create_from(
	struct test *test, uint32_t context, uint32_t id, uint64_t blob_id, uint64_t size)
{
	const struct virtio_gpu_resource_create_blob blob = {
		.resource_id = id,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.blob_id = blob_id,
		.size = size,
	};

	return fe_gpu_create_context_blob(test->gpu, context, &blob, NULL);
}

/* Memory that the render process makes for it: blob 0. */
static int create_memory(struct test *test, uint32_t context, uint32_t id, uint64_t size)
{
	return create_from(test, context, id, 0, size);
}

static uint8_t *map(struct test *test, uint32_t id, uint64_t offset, uint64_t len)
{
	struct virtio_gpu_resp_map_info info;
	uint8_t *bytes;

	assert_int_equal(fe_gpu_map_blob(test->gpu, id, offset, &info), OK_MAP_INFO);
	assert_int_equal(info.map_info, CACHED);
	bytes = fe_window_at(&test->gpu->window, offset, len);
	assert_non_null(bytes);
	return bytes;
}

/* A stream of nothing, with a fence of the ring. */
static struct virtio_gpu_cmd_submit fenced(uint32_t context, int ring)
{
	struct virtio_gpu_cmd_submit command = {
		.hdr = { .type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = context },
	};

	fe_gpu_set_fence(&command.hdr, ring, 1);
	return command;
}

/* Returns its answer, or -errno. */
static int fence(struct test *test, uint32_t context, int ring)
{
	const struct virtio_gpu_cmd_submit command = fenced(context, ring);

	return fe_gpu_call(test->gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), NULL, 0);
}

/* The same, not waited for. */
static void submit_fence(struct test *test, uint32_t context, int ring)
{
	const struct virtio_gpu_cmd_submit command = fenced(context, ring);

	assert_true(fe_gpu_submit(test->gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command),
			    sizeof(struct virtio_gpu_ctrl_hdr)) >= 0);
	fe_gpu_flush(test->gpu, WIRE_CONTROL_QUEUE);
}

static uint32_t next_answer(struct test *test)
{
	struct fe_gpu_answer answer;

	assert_int_equal(fe_gpu_wait(test->gpu, WIRE_CONTROL_QUEUE, &answer, ANSWER_MS), 0);
	return answer.type;
}

/* Processes that the process started, as proc(5) lists them: in the order of their start. */
static size_t children(pid_t parent, pid_t *pids, size_t max)
{
	char path[64];
	size_t count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "r");
	assert_non_null(file);
	while (count < max && fscanf(file, "%d", &pids[count]) == 1) {
		count++;
	}
	fclose(file);
	return count;
}

static pid_t render_server(const struct test *test)
{
	pid_t pid;

	assert_int_equal(children(test->daemon.backend.pid, &pid, 1), 1);
	return pid;
}

/* The process of the context that was made last. */
static pid_t last_process(const struct test *test)
{
	pid_t pids[16];
	size_t count = children(render_server(test), pids, 16);

	assert_true(count > 0);
	return pids[count - 1];
}

static uint32_t open_files(const struct test *test)
{
	char path[64];
	uint32_t count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)test->daemon.backend.pid);
	folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder)) {
		count++;
	}
	closedir(folder);
	return count;
}

static void the_capset_is_filled_in(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_capset_info info;
	uint32_t words[40] = { 0 };

	assert_int_equal(test->gpu->config.num_capsets, 1);
	assert_int_equal(
		fe_gpu_get_capset_info(test->gpu, 0, &info), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	assert_int_equal(info.capset_id, WIRE_CAPSET_VENUS);
	assert_int_equal(fe_gpu_get_capset(test->gpu, WIRE_CAPSET_VENUS, 0, words, sizeof(words)),
		VIRTIO_GPU_RESP_OK_CAPSET);
	assert_true(words[0] > 0); // wire_format_version
	assert_true(words[1] > 0); // vk_xml_version
	/* Neither an index nor another id finds it. */
	assert_int_equal(
		fe_gpu_get_capset_info(test->gpu, WIRE_CAPSET_VENUS, &info), ERR_PARAMETER);
	assert_int_equal(fe_gpu_get_capset(test->gpu, 0, 0, words, sizeof(words)), ERR_PARAMETER);
}

static void memory_is_shared(void **state)
{
	struct test *test = *state;
	const uint64_t size = 3 * page;
	uint8_t *bytes;

	assert_int_equal(create_memory(test, CONTEXT, BLOB, size), OK);
	bytes = map(test, BLOB, 4 * page, size);
	for (uint64_t i = 0; i < size; i++) {
		assert_int_equal(bytes[i], 0);
		bytes[i] = (uint8_t)(i * 7);
	}
	assert_int_equal(fe_gpu_unmap_blob(test->gpu, BLOB), OK);
	assert_null(fe_window_at(&test->gpu->window, 4 * page, size));
	bytes = map(test, BLOB, 0, size);
	for (uint64_t i = 0; i < size; i++) {
		assert_int_equal(bytes[i], (uint8_t)(i * 7));
	}
	assert_int_equal(fe_gpu_unref(test->gpu, BLOB), OK);
	assert_null(fe_window_at(&test->gpu->window, 0, size));
}

/* The daemon's picture of its output, as virtio-gpu-ctl has it: XRGB without X, WIDTH x HEIGHT. */
static void take_picture(uint32_t pixels[static WIDTH * HEIGHT])
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	char line[512];

	snprintf(line, sizeof(line), "%s --socket %s screenshot %s", getenv("VIRTIO_GPU_CTL"),
		control_path, picture_path);
	assert_int_equal(system(line), 0);
	assert_true(png_image_begin_read_from_file(&image, picture_path));
	assert_int_equal(image.width, WIDTH);
	assert_int_equal(image.height, HEIGHT);
	image.format = PNG_FORMAT_BGRA;
	assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
		pixels[i] &= 0xffffff;
	}
}

static uint32_t pattern(uint32_t i, uint32_t seed)
{
	return (i * 0x01030507u + seed) & 0xffffff;
}

static void fill(uint8_t *bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t pixel = pattern(i, seed) | 0x5a000000; // X is anything

		memcpy(bytes + 64 + i / WIDTH * STRIDE + i % WIDTH * 4, &pixel, 4);
	}
}

static void assert_shown(uint32_t seed)
{
	uint32_t pixels[WIDTH * HEIGHT];

	take_picture(pixels);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		assert_int_equal(pixels[i], pattern(i, seed));
	}
}

/* What lies in the memory is what the screen shows, without its alpha, by the guest's stride and offset. */
static void memory_is_shown(void **state)
{
	struct test *test = *state;
	const struct virtio_gpu_rect whole = fe_rect(0, 0, WIDTH, HEIGHT);
	const struct virtio_gpu_set_scanout_blob show = {
		.r = whole,
		.resource_id = BLOB,
		.width = WIDTH,
		.height = HEIGHT,
		.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
		.strides = { STRIDE },
		.offsets = { 64 },
	};
	struct virtio_gpu_set_scanout_blob wrong = show;
	uint8_t *bytes;

	assert_int_equal(create_memory(test, CONTEXT, BLOB, page), OK);
	bytes = map(test, BLOB, 0, page);
	fill(bytes, 1);
	assert_int_equal(fe_gpu_set_scanout_blob(test->gpu, &show), OK);
	assert_int_equal(fe_gpu_resource_flush(test->gpu, BLOB, whole), OK);
	assert_shown(1);
	wrong.offsets[0] = (uint32_t)page - STRIDE * (HEIGHT - 1) - WIDTH * 4 + 1;
	assert_int_equal(fe_gpu_set_scanout_blob(test->gpu, &wrong), ERR_PARAMETER);
	fill(bytes, 2);
	assert_int_equal(fe_gpu_resource_flush(test->gpu, BLOB, whole), OK);
	assert_shown(2);
	/* It stays on the screen without its context. */
	assert_int_equal(fe_gpu_ctx_destroy(test->gpu, CONTEXT), OK);
	fill(bytes, 3);
	assert_int_equal(fe_gpu_resource_flush(test->gpu, BLOB, whole), OK);
	assert_shown(3);
}

/* Contexts of both, each with its own timelines and memory, and images that VirGL draws with. */
static void opengl_and_vulkan_are_offered_together(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_capset_info info;
	pid_t process = last_process(test);

	assert_int_equal(test->gpu->config.num_capsets, 3);
	assert_int_equal(
		fe_gpu_get_capset_info(test->gpu, 2, &info), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	assert_int_equal(info.capset_id, WIRE_CAPSET_VENUS);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, VIRTIO_GPU_CAPSET_VIRGL2, "gl"), OK);
	assert_int_equal(fe_gpu_create_2d(test->gpu, BLOB + 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
				 WIDTH, HEIGHT),
		OK);
	assert_int_equal(fe_gpu_ctx_attach(test->gpu, OTHER, BLOB + 1), OK);
	assert_int_equal(fe_gpu_ctx_attach(test->gpu, CONTEXT, BLOB + 1), OK);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fence(test, OTHER, 0), OK);
		assert_int_equal(fence(test, CONTEXT, 0), OK);
		assert_int_equal(fence(test, CONTEXT, FE_NO_RING), OK);
	}
	assert_int_equal(create_memory(test, CONTEXT, BLOB, page), OK);
	assert_int_equal(create_memory(test, OTHER, BLOB + 2, page), ERR_UNSPEC); // VirGL has none
	/* A stopped Vulkan context holds up neither OpenGL nor what is no context's. */
	assert_int_equal(kill(process, SIGSTOP), 0);
	submit_fence(test, CONTEXT, 0);
	submit_fence(test, OTHER, 0);
	assert_int_equal(next_answer(test), OK);
	assert_int_equal(kill(process, SIGKILL), 0);
	assert_int_equal(next_answer(test), ERR_UNSPEC);
	assert_int_equal(fence(test, OTHER, 0), OK);
}

/* Numbers that the context does not know, sizes that are none: errors, and the context goes on. */
static void nonsense_is_refused(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_map_info info;

	assert_int_equal(create_memory(test, CONTEXT, BLOB, 0), ERR_PARAMETER);
	assert_int_equal(create_memory(test, OTHER, BLOB, page), ERR_CONTEXT);
	assert_int_equal(fe_gpu_map_blob(test->gpu, BLOB, 0, &info),
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	assert_int_equal(create_memory(test, CONTEXT, BLOB, 4 * page), OK);
	assert_int_equal(fe_gpu_unmap_blob(test->gpu, BLOB), ERR_PARAMETER);
	assert_int_equal(fe_gpu_map_blob(test->gpu, BLOB, page / 2, &info), ERR_PARAMETER);
	assert_int_equal(
		fe_gpu_map_blob(test->gpu, BLOB, WINDOW_SIZE - page, &info), ERR_PARAMETER);
	map(test, BLOB, WINDOW_SIZE - 4 * page, 4 * page);
	assert_int_equal(fe_gpu_map_blob(test->gpu, BLOB, 0, &info), ERR_PARAMETER);
	assert_int_equal(create_memory(test, CONTEXT, BLOB + 1, 2 * page), OK);
	assert_int_equal(
		fe_gpu_map_blob(test->gpu, BLOB + 1, WINDOW_SIZE - 2 * page, &info), ERR_PARAMETER);
	assert_int_equal(fe_gpu_unref(test->gpu, BLOB), OK);
	map(test, BLOB + 1, WINDOW_SIZE - 2 * page, 2 * page);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/* A number that names no memory ends the render process, in virglrenderer 1.3; others do not notice. */
static void an_unknown_number_costs_at_most_its_context(void **state)
{
	struct test *test = *state;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	assert_int_equal(create_from(test, CONTEXT, BLOB, 12345, page), ERR_PARAMETER);
	assert_int_equal(create_memory(test, OTHER, BLOB, page), OK);
	assert_int_equal(fence(test, OTHER, 0), OK);
	assert_int_equal(fe_gpu_ctx_destroy(test->gpu, CONTEXT), OK);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
	assert_int_equal(create_memory(test, CONTEXT, BLOB + 1, page), OK);
}

static void rings_of_a_context_have_fences(void **state)
{
	struct test *test = *state;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(fence(test, CONTEXT, 0), OK);
	}
	assert_int_equal(fence(test, CONTEXT, FE_NO_RING), OK);
	/* The library has 64. */
	assert_int_equal(fence(test, CONTEXT, 64), ERR_UNSPEC);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/* No Vulkan queue is bound to it. virglrenderer ends the process, and the fence ends all the same. */
static void a_fence_of_no_queue_ends(void **state)
{
	struct test *test = *state;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	assert_int_equal(fence(test, CONTEXT, 5), ERR_UNSPEC);
	assert_int_equal(fence(test, OTHER, 0), OK);
	assert_int_equal(fence(test, CONTEXT, 0), ERR_UNSPEC);
}

/* Lines of what the daemon and its children said since setup_with_log. */
static uint32_t count_lines(const char *text)
{
	char line[1024];
	uint32_t count = 0;

	rewind(said);
	while (fgets(line, sizeof(line), said)) {
		count += strstr(line, text) != NULL;
	}
	return count;
}

/* A guest can have that as often as it likes. */
static void lost_contexts_do_not_fill_the_log(void **state)
{
	struct test *test = *state;

	for (int i = 0; i < 30; i++) {
		assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
		assert_int_equal(fence(test, OTHER, 5), ERR_UNSPEC);
		assert_int_equal(fe_gpu_ctx_destroy(test->gpu, OTHER), OK);
	}
	assert_in_range(count_lines("its render process is gone"), 1, 15);
}

static void a_killed_process_costs_its_context(void **state)
{
	struct test *test = *state;
	pid_t victim;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	assert_int_equal(create_memory(test, OTHER, BLOB, page), OK);
	map(test, BLOB, 0, page)[0] = 42;
	victim = last_process(test);
	/* Stopped, it leaves a fence pending. */
	assert_int_equal(kill(victim, SIGSTOP), 0);
	submit_fence(test, OTHER, 0);
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(next_answer(test), ERR_UNSPEC);
	assert_int_equal(fence(test, OTHER, 0), ERR_UNSPEC);
	assert_int_equal(create_memory(test, OTHER, BLOB + 1, page), ERR_UNSPEC);
	/* What was mapped stays, and the other context goes on. */
	assert_int_equal(*(uint8_t *)fe_window_at(&test->gpu->window, 0, page), 42);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
	assert_int_equal(create_memory(test, CONTEXT, BLOB + 1, page), OK);
	assert_int_equal(fe_gpu_unref(test->gpu, BLOB), OK);
	assert_int_equal(fe_gpu_ctx_destroy(test->gpu, OTHER), OK);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	assert_int_equal(fence(test, OTHER, 0), OK);
}

/* The library would wait for ever, and the VM with it. */
static void a_process_that_hangs_is_ended(void **state)
{
	struct test *test = *state;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	assert_int_equal(kill(last_process(test), SIGSTOP), 0);
	assert_int_equal(create_memory(test, OTHER, BLOB, page), ERR_PARAMETER);
	assert_int_equal(fence(test, OTHER, 0), ERR_UNSPEC);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/* Whoever frees its resources tells it, and would wait for ever once its socket is full. */
static void a_process_that_hangs_does_not_keep_its_resources(void **state)
{
	struct test *test = *state;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	for (uint32_t i = 0; i < FILLS_A_SOCKET; i++) {
		assert_int_equal(create_memory(test, OTHER, BLOB + i, page), OK);
	}
	assert_int_equal(kill(last_process(test), SIGSTOP), 0);
	for (uint32_t i = 0; i < FILLS_A_SOCKET; i++) {
		assert_int_equal(fe_gpu_unref(test->gpu, BLOB + i), OK);
	}
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/*
 * The daemon looks for contexts that make no progress, and meets a fence that has just ended: it waited for
 * another process meanwhile, and in the loop's turn its timer comes before the context's descriptor.
 */
static void a_slow_fence_is_no_death(void **state)
{
	struct test *test = *state;
	const struct virtio_gpu_resource_create_blob blob = {
		.hdr = { .type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, .ctx_id = CONTEXT },
		.resource_id = BLOB,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.size = page,
	};
	pid_t busy = last_process(test);
	pid_t slow;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	slow = last_process(test);
	assert_int_equal(kill(slow, SIGSTOP), 0);
	submit_fence(test, OTHER, 0);
	usleep(WATCH_US * 3 / 2); // it has looked once
	assert_int_equal(kill(busy, SIGSTOP), 0);
	assert_true(fe_gpu_submit(test->gpu, WIRE_CONTROL_QUEUE, &blob, sizeof(blob),
			    sizeof(struct virtio_gpu_ctrl_hdr)) >= 0);
	fe_gpu_flush(test->gpu, WIRE_CONTROL_QUEUE);
	usleep(WATCH_US / 4);
	assert_int_equal(kill(slow, SIGCONT), 0);
	usleep(WATCH_US);
	assert_int_equal(kill(busy, SIGCONT), 0);
	assert_int_equal(next_answer(test), OK);
	assert_int_equal(next_answer(test), OK);
	assert_int_equal(fence(test, OTHER, 0), OK);
}

static void a_destroyed_context_ends_its_fences(void **state)
{
	struct test *test = *state;
	const struct virtio_gpu_ctx_destroy destroy = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = OTHER },
	};
	pid_t process;

	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), OK);
	process = last_process(test);
	assert_int_equal(kill(process, SIGSTOP), 0);
	submit_fence(test, OTHER, 0);
	submit_fence(test, OTHER, 0);
	assert_true(fe_gpu_submit(test->gpu, WIRE_CONTROL_QUEUE, &destroy, sizeof(destroy),
			    sizeof(struct virtio_gpu_ctrl_hdr)) >= 0);
	fe_gpu_flush(test->gpu, WIRE_CONTROL_QUEUE);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(next_answer(test), OK);
	}
	kill(process, SIGKILL);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

static void next_vm(struct test *test)
{
	daemon_reconnect(&test->daemon, &gpu_options);
	assert_int_equal(fe_gpu_start(test->gpu, daemon_take_socket(&test->daemon)), 0);
	test->gpu->timeout_ms = ANSWER_MS;
}

/* New contexts are refused; what there is goes on; the next VM has a new one. */
static void a_killed_server_is_replaced_for_the_next_vm(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_memory(test, CONTEXT, BLOB, page), OK);
	assert_int_equal(kill(render_server(test), SIGKILL), 0);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), ERR_UNSPEC);
	map(test, BLOB, 0, page);
	next_vm(test);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
	assert_int_equal(create_memory(test, CONTEXT, BLOB, page), OK);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/* The daemon hears of the next VM before it hears of the server's end. */
static void a_server_that_has_just_died_is_replaced(void **state)
{
	struct test *test = *state;
	pid_t server = render_server(test);
	pid_t daemon = test->daemon.backend.pid;

	assert_int_equal(kill(daemon, SIGSTOP), 0);
	daemon_reconnect(&test->daemon, &gpu_options);
	assert_int_equal(kill(server, SIGKILL), 0);
	usleep(WATCH_US / 10);
	assert_int_equal(kill(daemon, SIGCONT), 0);
	assert_int_equal(fe_gpu_start(test->gpu, daemon_take_socket(&test->daemon)), 0);
	test->gpu->timeout_ms = ANSWER_MS;
	assert_int_equal(fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
	assert_int_equal(fence(test, CONTEXT, 0), OK);
}

/* The library would fill its capset with zeros. */
static void a_server_that_cannot_be_replaced_is_not_offered(void **state)
{
	struct test *test = *state;
	const char *path = getenv("RENDER_SERVER");
	char away[512];

	assert_non_null(path);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(kill(render_server(test), SIGKILL), 0);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, OTHER, WIRE_CAPSET_VENUS, "two"), ERR_UNSPEC);
	assert_int_equal(rename(path, away), 0);
	next_vm(test);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(test->gpu->config.num_capsets, 0);
	assert_int_equal(
		fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), ERR_PARAMETER);
	next_vm(test);
	assert_int_equal(test->gpu->config.num_capsets, 1);
	assert_int_equal(fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
}

/*
 * A ring of Venus' (VK_MESA_venus_protocol): memory with the head, which the render process moves, the tail,
 * which we move, its thread's status, and commands. A driver rings, by a stream, when the thread sleeps.
 */
enum {
	CREATE_RING = 188, // VkCommandTypeEXT
	NOTIFY_RING = 190,
	ENUMERATE_INSTANCE_VERSION = 137,
	RING_CREATE_INFO = 1000384000, // VkStructureType
	RING = 7, // its number
	RING_HEAD = 0, // where they lie: bytes
	RING_TAIL = 64,
	RING_STATUS = 128,
	RING_BUFFER = 4096,
	RING_BUFFER_SIZE = 4096,
	RING_SIZE = RING_BUFFER + RING_BUFFER_SIZE,
	RING_IDLE = 1, // of its status
	RING_IDLE_NS = 1000000, // Mesa's
	AGAIN_MS = 100, // the daemon rings once more after so long
	PATIENCE_MS = 20000,
};

struct ring {
	struct test *test;
	uint8_t *bytes;
	uint32_t tail;
};

static uint64_t now_ms(void)
{
	return loop_now_ns() / 1000000;
}

static void submit(struct test *test, const void *stream, uint32_t size)
{
	struct {
		struct virtio_gpu_cmd_submit head;
		uint8_t stream[128];
	} command = {
		.head.hdr = { .type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = CONTEXT },
		.head.size = size,
	};

	assert_true(size <= sizeof(command.stream));
	memcpy(command.stream, stream, size);
	assert_int_equal(fe_gpu_call(test->gpu, WIRE_CONTROL_QUEUE, &command,
				 sizeof(command.head) + size, NULL, 0),
		OK);
}

static struct ring make_ring(struct test *test)
{
	struct ring ring = { .test = test };
	const struct {
		uint32_t type, flags;
		uint64_t ring, info_pointer;
		uint32_t info_type, next[2], info_flags, resource;
		uint32_t words[10][2]; // of 64 bits: the structure is packed to 32
	} create = {
		.type = CREATE_RING,
		.ring = RING,
		.info_pointer = 1,
		.info_type = RING_CREATE_INFO,
		.resource = BLOB,
		.words = { { 0 }, { RING_SIZE }, { RING_IDLE_NS }, { RING_HEAD }, { RING_TAIL },
			{ RING_STATUS }, { RING_BUFFER }, { RING_BUFFER_SIZE }, { RING_SIZE },
			{ 0 } },
	};

	assert_int_equal(create_memory(test, CONTEXT, BLOB, RING_SIZE), OK);
	assert_int_equal(fe_gpu_ctx_attach(test->gpu, CONTEXT, BLOB), OK);
	ring.bytes = map(test, BLOB, 0, RING_SIZE);
	submit(test, &create, offsetof(__typeof__(create), words) + sizeof(create.words));
	return ring;
}

/* A command that costs nothing, without a doorbell. */
static void put_command(struct ring *ring)
{
	const uint32_t command[] = { ENUMERATE_INSTANCE_VERSION, 0, 1, 0 };

	memcpy(ring->bytes + RING_BUFFER + ring->tail % RING_BUFFER_SIZE, command, sizeof(command));
	ring->tail += sizeof(command);
	__atomic_store_n((uint32_t *)(ring->bytes + RING_TAIL), ring->tail, __ATOMIC_SEQ_CST);
}

static void notify(const struct ring *ring)
{
	const struct {
		uint32_t type, flags;
		uint64_t ring;
		uint32_t seqno, notify_flags;
	} notify = { .type = NOTIFY_RING, .ring = RING, .seqno = ring->tail };

	submit(ring->test, &notify, sizeof(notify));
}

static uint32_t ring_word(const struct ring *ring, uint32_t offset)
{
	return __atomic_load_n((const uint32_t *)(ring->bytes + offset), __ATOMIC_SEQ_CST);
}

static bool is_done(const struct ring *ring)
{
	return ring_word(ring, RING_HEAD) == ring->tail;
}

static bool is_idle(const struct ring *ring)
{
	return ring_word(ring, RING_STATUS) & RING_IDLE;
}

static void wait_until(
	const struct ring *ring, bool (*holds)(const struct ring *ring), const char *otherwise)
{
	for (uint64_t end = now_ms() + PATIENCE_MS; !holds(ring); usleep(200)) {
		if (now_ms() > end) {
			fail_msg("%s", otherwise);
		}
	}
}

static void wait_done(const struct ring *ring)
{
	wait_until(ring, is_done, "the ring's thread sleeps over its commands");
}

static void wait_idle(const struct ring *ring)
{
	wait_until(ring, is_idle, "the ring's thread does not sleep");
}

static void ring_in_vain(struct ring *ring)
{
	put_command(ring);
	notify(ring);
	wait_done(ring);
	wait_idle(ring);
}

/*
 * What Mesa does now and then: it rings once a millisecond at most, and does not see that the thread
 * went to sleep meanwhile. Another doorbell, from before, is to be rung again at about the same time.
 */
static void a_ring_whose_doorbell_was_left_out_goes_on(void **state)
{
	struct ring ring = make_ring(*state);

	for (uint32_t early_us = 0; early_us < 4000; early_us += 250) {
		uint64_t rung;

		ring_in_vain(&ring);
		usleep(AGAIN_MS * 1000 - early_us);
		do {
			rung = now_ms();
			ring_in_vain(&ring);
		} while (now_ms() > rung + AGAIN_MS / 2); // too late: this machine is busy
		put_command(&ring);
		wait_done(&ring);
	}
}

/* The same over a pause, in which the guest's clock stands still. */
static void a_ring_goes_on_after_a_pause(void **state)
{
	struct ring ring = make_ring(*state);
	uint32_t bases[WIRE_QUEUE_COUNT];

	put_command(&ring);
	notify(&ring);
	wait_done(&ring);
	assert_int_equal(fe_gpu_stop(ring.test->gpu, bases), 0);
	usleep(AGAIN_MS * 1000 * 3);
	wait_idle(&ring);
	assert_int_equal(fe_gpu_cont(ring.test->gpu, bases), 0);
	put_command(&ring);
	wait_done(&ring);
}

static void a_reset_leaves_nothing_behind(void **state)
{
	struct test *test = *state;
	uint32_t before;
	pid_t pids[16];

	assert_int_equal(fe_gpu_ctx_destroy(test->gpu, CONTEXT), OK);
	before = open_files(test);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(
			fe_gpu_ctx_create(test->gpu, CONTEXT, WIRE_CAPSET_VENUS, "one"), OK);
		for (uint32_t i = 0; i < 20; i++) {
			assert_int_equal(create_memory(test, CONTEXT, BLOB + i, page), OK);
			map(test, BLOB + i, i * page, page);
		}
		assert_int_equal(fe_gpu_reset(test->gpu), 0);
	}
	daemon_assert_alive(&test->daemon);
	assert_int_equal(open_files(test), before);
	/* Its processes end; the server reaps them in its own time. */
	for (int i = 0; i < 500 && children(render_server(test), pids, 16) > 0; i++) {
		usleep(10000);
	}
	assert_int_equal(children(render_server(test), pids, 16), 0);
}

/* QEMU aborts at the 512th: it never gets there. */
static void mappings_are_bounded(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_map_info info;
	uint32_t mapped = 0;

	for (uint32_t i = 0; i < 512; i++) {
		int answer;

		assert_int_equal(create_memory(test, CONTEXT, BLOB + i, page), OK);
		answer = fe_gpu_map_blob(test->gpu, BLOB + i, i * page, &info);
		if (answer != OK_MAP_INFO) {
			assert_int_equal(answer, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
			break;
		}
		mapped++;
	}
	assert_in_range(mapped, 400, 480);
	assert_int_equal(fe_gpu_unmap_blob(test->gpu, BLOB), OK);
	assert_int_equal(fe_gpu_map_blob(test->gpu, BLOB + mapped, 0, &info), OK_MAP_INFO);
}

static void many_blobs_come_and_go(void **state)
{
	struct test *test = *state;
	uint32_t before = open_files(test);

	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(create_memory(test, CONTEXT, BLOB, page * (i % 5 + 1)), OK);
		map(test, BLOB, i * page, page)[0] = 1;
		assert_int_equal(fe_gpu_unref(test->gpu, BLOB), OK);
	}
	assert_int_equal(open_files(test), before);
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LISTING(name) { #name " (listing)", name, setup_listing, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_capset_is_filled_in),
		TEST(memory_is_shared),
		LISTING(memory_is_shared),
		TEST(memory_is_shown),
		cmocka_unit_test_setup_teardown(
			opengl_and_vulkan_are_offered_together, setup_with_virgl, teardown),
		TEST(nonsense_is_refused),
		LISTING(nonsense_is_refused),
		TEST(an_unknown_number_costs_at_most_its_context),
		TEST(rings_of_a_context_have_fences),
		TEST(a_fence_of_no_queue_ends),
		cmocka_unit_test_setup_teardown(
			lost_contexts_do_not_fill_the_log, setup_with_log, teardown),
		TEST(a_killed_process_costs_its_context),
		TEST(a_process_that_hangs_is_ended),
		TEST(a_process_that_hangs_does_not_keep_its_resources),
		TEST(a_slow_fence_is_no_death),
		TEST(a_destroyed_context_ends_its_fences),
		TEST(a_killed_server_is_replaced_for_the_next_vm),
		TEST(a_server_that_has_just_died_is_replaced),
		TEST(a_server_that_cannot_be_replaced_is_not_offered),
		TEST(a_ring_whose_doorbell_was_left_out_goes_on),
		TEST(a_ring_goes_on_after_a_pause),
		TEST(a_reset_leaves_nothing_behind),
		LISTING(a_reset_leaves_nothing_behind),
		LISTING(mappings_are_bounded),
		TEST(many_blobs_come_and_go),
		LISTING(many_blobs_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
