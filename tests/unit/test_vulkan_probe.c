/* SPDX-License-Identifier: MIT */
/* What is said of Vulkan GPUs, of a driver with all the faults that one may have. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "render/virgl/server.h"
#include "render/virgl/virgl_impl.h"
#include "render/virgl/vulkan.h"
#include "support/fake_vulkan.h"

#define BIT(type) (1u << (type))

static struct fake_vulkan *fake;
static const char *manifest;
static char error[VULKAN_ERROR_SIZE];

static int set_up(void **data)
{
	(void)data;
	*fake = (struct fake_vulkan){
		.version = VK_API_VERSION_1_3,
		.has_host_extension = true,
		.alignment = 1 << 20,
		.importable_types = BIT(FAKE_COHERENT) | BIT(FAKE_CACHED),
	};
	return 0;
}

/* The child is a copy of this process, with the driver's state in it. */
static struct vulkan_gpu probe(void)
{
	struct vulkan_list list;

	assert_int_equal(vulkan_probe(manifest, &list, error), 0);
	assert_int_equal(list.count, 1);
	return list.gpus[0];
}

static void test_identity(void **data)
{
	struct vulkan_gpu gpu = probe();

	(void)data;
	assert_string_equal(gpu.name, "fake GPU");
	assert_string_equal(gpu.driver, "fake 1.2");
	assert_string_equal(gpu.pci, "0001:2a:03.1");
	assert_string_equal(gpu.uuid, "abababab-abab-abab-abab-abababababab");
	assert_int_equal(gpu.vendor_id, 0x1af4);
	assert_int_equal(gpu.device_id, 0x1050);
	assert_int_equal(gpu.version, VK_API_VERSION_1_3);
	assert_false(gpu.software);
}

static void test_layer_is_needed(void **data)
{
	struct vulkan_gpu gpu = probe();

	(void)data;
	assert_true(gpu.has_fd && gpu.has_host);
	assert_false(gpu.has_dma_buf || gpu.claims_dma_buf);
	assert_int_equal(gpu.memory, VULKAN_MEMORY_LAYER);
	assert_string_equal(gpu.reason, "the driver hands out no dma-bufs");
}

static void test_driver_does_it_alone(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->exports_dmabufs = true;
	fake->makes_dmabufs = true;
	gpu = probe();
	assert_int_equal(gpu.memory, VULKAN_MEMORY_DRIVER);
	assert_string_equal(gpu.reason, "");
}

/* It says that it does, and gives what cannot be mapped. */
static void test_empty_claim(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->exports_dmabufs = true;
	gpu = probe();
	assert_true(gpu.claims_dma_buf);
	assert_int_equal(gpu.memory, VULKAN_MEMORY_LAYER);
	assert_string_equal(gpu.reason, "memory type 1 gives no dma-buf that can be mapped");
}

static void test_no_host_memory(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->has_host_extension = false;
	gpu = probe();
	assert_int_equal(gpu.memory, VULKAN_MEMORY_NONE);
	assert_non_null(strstr(gpu.reason, "no VK_EXT_external_memory_host"));
}

static void test_refused_memory_file(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->importable_types = BIT(FAKE_LOCAL);
	gpu = probe();
	assert_int_equal(gpu.memory, VULKAN_MEMORY_NONE);
	assert_non_null(
		strstr(gpu.reason, "vkGetMemoryHostPointerPropertiesEXT: 0, types 0x1 of 0xe"));
}

static void test_failing_import(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->allocation_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	gpu = probe();
	assert_int_equal(gpu.memory, VULKAN_MEMORY_NONE);
	assert_non_null(strstr(gpu.reason, "vkAllocateMemory: -2"));
}

static void test_old_driver(void **data)
{
	struct vulkan_gpu gpu;

	(void)data;
	fake->version = VK_API_VERSION_1_0;
	gpu = probe();
	assert_int_equal(gpu.memory, VULKAN_MEMORY_NONE);
	assert_string_equal(gpu.reason, "its driver is older than Vulkan 1.1");
}

static void test_crashing_driver(void **data)
{
	struct vulkan_list list;

	(void)data;
	fake->crashes = true;
	assert_int_equal(vulkan_probe(manifest, &list, error), -EPIPE);
	assert_string_equal(error, "the driver crashed (Aborted)");
	assert_int_equal(list.count, 0);
}

static void test_missing_manifest(void **data)
{
	struct vulkan_list list;

	(void)data;
	assert_int_equal(vulkan_probe("/nonexistent.json", &list, error), -ENOENT);
	assert_string_equal(
		error, "no driver's manifest /nonexistent.json: No such file or directory");
}

/* The loader passes over what it cannot load. */
static void test_no_driver(void **data)
{
	struct vulkan_list list = { .count = 1 };

	(void)data;
	assert_int_equal(vulkan_probe("/dev/null", &list, error), 0);
	assert_int_equal(list.count, 0);
}

static void test_driver_that_does_not_survive_a_fork(void **data)
{
	(void)data;
	assert_false(probe().no_fork);
	fake->driver_id = VK_DRIVER_ID_NVIDIA_PROPRIETARY;
	assert_true(probe().no_fork);
}

/* What tells a library of 1.2 from an older one; this program exports it. */
void virgl_renderer_attach_fence(void);
__attribute__((visibility("default"))) void virgl_renderer_attach_fence(void)
{
}

static void test_such_a_driver_needs_a_new_library(void **data)
{
	struct virgl virgl = { .library.handle = dlopen("libc.so.6", RTLD_NOW) };

	(void)data;
	assert_int_equal(virgl_venus_check_library(&virgl), 0);
	snprintf(virgl.no_fork_gpu, sizeof(virgl.no_fork_gpu), "fake GPU");
	assert_int_equal(virgl_venus_check_library(&virgl), -ENODEV);
	virgl.other_gpu = true;
	assert_int_equal(virgl_venus_check_library(&virgl), 0);
	virgl.other_gpu = false;
	virgl.library.handle = dlopen(NULL, RTLD_NOW);
	assert_int_equal(virgl_venus_check_library(&virgl), 0);
}

static void test_plan(void **data)
{
	struct vulkan_list list = { .count = 1 };
	struct vulkan_plan plan = vulkan_plan(&list);

	(void)data;
	assert_false(plan.possible || plan.layer || plan.overrule);
	list.gpus[0].memory = VULKAN_MEMORY_DRIVER;
	list.gpus[0].claims_dma_buf = true;
	plan = vulkan_plan(&list);
	assert_true(plan.possible);
	assert_false(plan.layer || plan.overrule);
	list.gpus[list.count++].memory = VULKAN_MEMORY_LAYER;
	plan = vulkan_plan(&list);
	assert_true(plan.possible && plan.layer);
	assert_false(plan.overrule);
	list.gpus[1].claims_dma_buf = true;
	assert_true(vulkan_plan(&list).overrule);
}

static void test_text(void **data)
{
	struct vulkan_list list = { .count = 3 };
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	(void)data;
	list.gpus[0] = probe();
	list.gpus[1] = (struct vulkan_gpu){ .name = "lava",
		.driver = "llvmpipe Mesa",
		.software = true,
		.version = VK_API_VERSION_1_1,
		.memory = VULKAN_MEMORY_DRIVER };
	list.gpus[2] = (struct vulkan_gpu){
		.name = "old", .version = VK_API_VERSION_1_0, .reason = "it is old"
	};
	vulkan_list_print(&list, file);
	fclose(file);
	assert_string_equal(text,
		"Vulkan GPU 0: fake GPU, fake 1.2, Vulkan 1.3.0, hardware, PCI 0001:2a:03.1, "
		"UUID abababab-abab-abab-abab-abababababab: Venus needs the memory layer "
		"(the driver hands out no dma-bufs)\n"
		"Vulkan GPU 1: lava, llvmpipe Mesa, Vulkan 1.1.0, software: Venus works\n"
		"Vulkan GPU 2: old, Vulkan 1.0.0, hardware: Venus cannot work: it is old\n");
	free(text);
}

static void make_layer(const char *root, const char *folder)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "mkdir -p %s/%s", root, folder);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s/%s/virtio_gpud_memory.json", root, folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
}

static void test_layer_beside_the_program(void **data)
{
	char root[] = "/tmp/test_vulkan_probe.XXXXXX";
	char program[64], expected[96], command[64], folder[VULKAN_FOLDER_SIZE];

	(void)data;
	assert_non_null(mkdtemp(root));
	snprintf(program, sizeof(program), "%s/bin/virtio-gpud", root);
	assert_false(vulkan_find_layer(program, folder));
	assert_false(vulkan_find_layer("virtio-gpud", folder));
	make_layer(root, "bin"); // for ../share to be one
	make_layer(root, "share/virtio-gpud/vulkan");
	assert_true(vulkan_find_layer(program, folder));
	snprintf(expected, sizeof(expected), "%s/bin/../share/virtio-gpud/vulkan", root);
	assert_string_equal(folder, expected);
	make_layer(root, "bin/src/vulkan_layer");
	assert_true(vulkan_find_layer(program, folder));
	snprintf(expected, sizeof(expected), "%s/bin/src/vulkan_layer", root);
	assert_string_equal(folder, expected);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

/* The build's own, whose folder the test is told. */
static void test_layer_of_the_build(void **data)
{
	const char *built = getenv("VK_LAYER_PATH");
	char program[VULKAN_FOLDER_SIZE], folder[VULKAN_FOLDER_SIZE];

	(void)data;
	snprintf(program, sizeof(program), "%s", built);
	*strstr(program, "src/vulkan_layer") = '\0';
	strcat(program, "virtio-gpud");
	assert_true(vulkan_find_layer(program, folder));
	assert_string_equal(folder, built);
}

/* Nothing of the fake: what the machine has. */
static void test_this_machine(void **data)
{
	struct vulkan_list list;
	char text[VULKAN_TEXT_SIZE];

	(void)data;
	unsetenv("VK_DRIVER_FILES");
	assert_int_equal(vulkan_probe(NULL, &list, error), 0);
	setenv("VK_DRIVER_FILES", manifest, 1);
	for (uint32_t i = 0; i < list.count; i++) {
		vulkan_describe(&list.gpus[i], text);
		print_message("%s\n", text);
		assert_true(list.gpus[i].name[0] != '\0');
		assert_int_equal(list.gpus[i].memory == VULKAN_MEMORY_DRIVER,
			list.gpus[i].reason[0] == '\0');
		/* Lavapipe is Mesa's; it imports what it is given. */
		if (strncmp(list.gpus[i].name, "llvmpipe", 8) == 0) {
			assert_true(list.gpus[i].software);
			assert_int_not_equal(list.gpus[i].memory, VULKAN_MEMORY_NONE);
		}
	}
}

/* As it is loaded for the render server, and as it is not. */
static void test_limit_is_kept_by_the_layer(void **data)
{
	const char *folder = getenv("VK_LAYER_PATH");
	const struct virgl_server_config config = {
		.driver = manifest, .layer = folder, .max_memory = 1 << 30
	};
	const struct virgl_server_config without = { .driver = manifest, .max_memory = 1 << 30 };
	char names[128];

	(void)data;
	snprintf(names, sizeof(names), "%s", getenv("VK_INSTANCE_LAYERS"));
	unsetenv("VK_INSTANCE_LAYERS");
	assert_int_equal(vulkan_try_limit(&config, error), 0);
	assert_int_equal(vulkan_try_limit(&without, error), -ENODEV);
	assert_non_null(strstr(error, "does not load virtio-gpud's memory layer"));
	fake->crashes = true;
	assert_int_equal(vulkan_try_limit(&config, error), -EPIPE);
	assert_string_equal(error, "the driver crashed (Aborted)");
	setenv("VK_INSTANCE_LAYERS", names, 1);
}

static int load_fake(void **data)
{
	(void)data;
	manifest = getenv("VK_DRIVER_FILES");
	fake = fake_vulkan_load();
	return fake && manifest ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_layer_is_needed),
		TEST(test_driver_does_it_alone),
		TEST(test_empty_claim),
		TEST(test_no_host_memory),
		TEST(test_refused_memory_file),
		TEST(test_failing_import),
		TEST(test_old_driver),
		TEST(test_crashing_driver),
		TEST(test_missing_manifest),
		TEST(test_no_driver),
		TEST(test_driver_that_does_not_survive_a_fork),
		TEST(test_such_a_driver_needs_a_new_library),
		TEST(test_limit_is_kept_by_the_layer),
		TEST(test_plan),
		TEST(test_text),
		TEST(test_layer_beside_the_program),
		TEST(test_layer_of_the_build),
		TEST(test_this_machine),
	};

	return cmocka_run_group_tests(tests, load_fake, NULL);
}
