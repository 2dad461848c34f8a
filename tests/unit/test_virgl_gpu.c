/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "render/virgl/gpu.h"
#include "render/virgl/node.h"

#define UUID "12345678-9abc-def0-1234-56789abcdef0"

static struct gpu_list two_gpus(void)
{
	const struct gpu card = {
		.route = GPU_EGL_DEVICE,
		.device = 0,
		.node = "/dev/dri/renderD128",
		.pci = "0000:01:00.0",
		.uuid = UUID,
		.driver = "ACME 1.2",
		.renderer = "ACME 3000",
		.version = "4.6",
	};
	const struct gpu software = {
		.route = GPU_EGL_DEVICE,
		.device = 1,
		.renderer = "llvmpipe",
		.version = "4.5",
		.software = true,
	};
	struct gpu_list list = { .count = 0 };

	gpu_list_add(&list, &software);
	gpu_list_add(&list, &card);
	return list;
}

static void assert_name(const char *text, enum gpu_name_kind kind, const char *expected)
{
	struct gpu_name name;

	assert_int_equal(gpu_name_parse(&name, text), 0);
	assert_int_equal(name.kind, kind);
	assert_string_equal(name.text, expected);
}

static void names_are_read(void **state)
{
	struct gpu_name name;

	(void)state;
	assert_int_equal(gpu_name_parse(&name, "12"), 0);
	assert_int_equal(name.kind, GPU_NAME_INDEX);
	assert_int_equal(name.index, 12);
	assert_name("0000:01:00.0", GPU_NAME_PCI, "0000:01:00.0");
	assert_name("01:00.0", GPU_NAME_PCI, "0000:01:00.0");
	assert_name("1:0.0", GPU_NAME_PCI, "0000:01:00.0");
	assert_name("00000000:AF:1F.7", GPU_NAME_PCI, "0000:af:1f.7");
	assert_name("10000:01:00.0", GPU_NAME_PCI, "10000:01:00.0");
	assert_name("GPU-" UUID, GPU_NAME_UUID, UUID);
	assert_name("gpu-12345678-9ABC-DEF0-1234-56789ABCDEF0", GPU_NAME_UUID, UUID);
	assert_name(UUID, GPU_NAME_UUID, UUID);
}

static void other_names_are_refused(void **state)
{
	const char *const texts[] = { "", "-1", "1x", "99999", "01:00", "01:00.", "01:00.8",
		"01:20.0", "01:00.00", "1:2:3:4.0", ":01:00.0", "123456789:01:00.0", "001:00.0",
		"0000:01:00.0 ", "GPU-", "GPU-0", UUID "0", "x2345678-9abc-def0-1234-56789abcdef0",
		"12345678+9abc-def0-1234-56789abcdef0", "/dev/dri/renderD128" };
	struct gpu_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (gpu_name_parse(&name, texts[i]) != -EINVAL) {
			fail_msg("'%s' is taken", texts[i]);
		}
	}
}

static const struct gpu *find(const struct gpu_list *list, const char *text)
{
	struct gpu_name name;

	assert_int_equal(gpu_name_parse(&name, text), 0);
	return gpu_list_find(list, &name);
}

static void names_find_what_they_mean(void **state)
{
	const struct gpu_list list = two_gpus();

	(void)state;
	assert_ptr_equal(find(&list, "0"), &list.gpus[0]);
	assert_ptr_equal(find(&list, "1"), &list.gpus[1]);
	assert_null(find(&list, "2"));
	assert_ptr_equal(find(&list, "01:00.0"), &list.gpus[1]);
	assert_null(find(&list, "02:00.0"));
	assert_ptr_equal(find(&list, "GPU-" UUID), &list.gpus[1]);
	assert_null(find(&list, "02345678-9abc-def0-1234-56789abcdef0"));
}

static void the_default_is_hardware_that_works(void **state)
{
	const struct gpu surfaceless = { .route = GPU_SURFACELESS, .software = true };
	struct gpu_list list = two_gpus();

	(void)state;
	gpu_list_add(&list, &surfaceless);
	assert_ptr_equal(gpu_list_default(&list), &list.gpus[1]);
	strcpy(list.gpus[1].error, "broken");
	assert_ptr_equal(gpu_list_default(&list), &list.gpus[2]);
	strcpy(list.gpus[2].error, "broken");
	assert_ptr_equal(gpu_list_default(&list), &list.gpus[0]);
	list.count = 0;
	assert_null(gpu_list_default(&list));
}

static void lists_are_described(void **state)
{
	struct gpu_list list = two_gpus();
	char text[256];

	(void)state;
	gpu_list_describe(&list, text, sizeof(text));
	assert_string_equal(text,
		"0 = llvmpipe (EGL device 1), "
		"1 = ACME 3000 (EGL device 0, PCI 0000:01:00.0, UUID " UUID ")");
	gpu_list_describe(&list, text, 20); // is cut
	assert_string_equal(text, "0 = llvmpipe (EGL d");
	list.count = 0;
	gpu_list_describe(&list, text, sizeof(text));
	assert_string_equal(text, "none");
}

static void tables_have_what_is_known(void **state)
{
	const struct gpu broken = {
		.route = GPU_RENDER_NODE, .node = "/dev/dri/renderD129", .error = "no driver"
	};
	struct gpu_list list = two_gpus();
	char *table = NULL;
	size_t size;
	FILE *file = open_memstream(&table, &size);

	(void)state;
	gpu_list_add(&list, &broken);
	gpu_list_print(&list, file);
	fclose(file);
	assert_string_equal(table,
		"GPU  KIND      ROUTE                            PCI ADDRESS   UUID               "
		"                   RENDER NODE          DRIVER    RENDERER\n"
		"0    software  EGL device 1                     none          none               "
		"                   none                 unknown   llvmpipe, OpenGL 4.5\n"
		"1 *  hardware  EGL device 0                     0000:01:00.0  " UUID "  "
		"/dev/dri/renderD128  ACME 1.2  ACME 3000, OpenGL 4.6\n"
		"2    unknown   render node /dev/dri/renderD129  unknown       unknown            "
		"                   /dev/dri/renderD129  unknown   cannot be used: no driver\n");
	free(table);
}

static void lists_have_an_end(void **state)
{
	const struct gpu gpu = { .route = GPU_SURFACELESS };
	struct gpu_list list = { .count = 0 };

	(void)state;
	for (uint32_t i = 0; i < GPU_MAX + 2; i++) {
		gpu_list_add(&list, &gpu);
	}
	assert_int_equal(list.count, GPU_MAX);
}

static void uuids_are_written(void **state)
{
	uint8_t bytes[16] = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56,
		0x78, 0x9a, 0xbc, 0xde, 0xf0 };
	char uuid[GPU_UUID_SIZE];

	(void)state;
	gpu_format_uuid(bytes, uuid);
	assert_string_equal(uuid, UUID);
	memset(bytes, 0, sizeof(bytes));
	gpu_format_uuid(bytes, uuid);
	assert_string_equal(uuid, "");
}

/* A folder that stands for "/". */
static char root[64];

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/gpud-root-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folders on the way to root/path and returns the whole path, until the next call. */
static const char *make_way(const char *path)
{
	static char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(whole, 0755);
		*slash = '/';
	}
	return whole;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(make_way(path), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void nodes_are_in_order(void **state)
{
	char paths[NODE_MAX][64], text[64];

	(void)state;
	assert_int_equal(node_list(root, paths), 0);
	node_describe(root, text, sizeof(text));
	assert_string_equal(text, "none");
	write_file("dev/dri/renderD1000", "");
	write_file("dev/dri/renderD129", "");
	write_file("dev/dri/card0", "");
	write_file("dev/dri/renderD128", "");
	assert_int_equal(node_list(root, paths), 3);
	assert_string_equal(paths[0], "/dev/dri/renderD128");
	assert_string_equal(paths[2], "/dev/dri/renderD1000");
	node_describe(root, text, sizeof(text));
	assert_string_equal(text, "renderD128 renderD129 renderD1000");
}

static void nodes_have_addresses(void **state)
{
	char pci[GPU_PCI_SIZE];

	(void)state;
	make_way("sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/drm/");
	assert_int_equal(symlink("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
				 make_way("sys/dev/char/226:128/device")),
		0);
	node_pci(root, 226, 128, pci);
	assert_string_equal(pci, "0000:01:00.0");
	node_pci(root, 226, 129, pci);
	assert_string_equal(pci, "");
	make_way("sys/devices/platform/vgem/");
	assert_int_equal(
		symlink("../../../devices/platform/vgem", make_way("sys/dev/char/226:130/device")),
		0);
	node_pci(root, 226, 130, pci);
	assert_string_equal(pci, "");
	node_pci_of_file("", "/dev/null", pci);
	assert_string_equal(pci, "");
	/* By its name where /dev has no such file. */
	assert_int_equal(symlink("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
				 make_way("sys/class/drm/renderD128/device")),
		0);
	node_pci_of_file(root, "/dev/dri/renderD128", pci);
	assert_string_equal(pci, "0000:01:00.0");
	write_file("dev/dri/renderD128", "no device");
	node_pci_of_file(root, "/dev/dri/renderD128", pci);
	assert_string_equal(pci, "");
}

static void nvidia_tells_addresses(void **state)
{
	char pci[GPU_PCI_SIZE];

	(void)state;
	node_pci_of_nvidia(root, UUID, pci);
	assert_string_equal(pci, "");
	write_file("proc/driver/nvidia/gpus/0000:5d:00.0/information",
		"Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-" UUID "\nBus Type: \t PCIe\n");
	node_pci_of_nvidia(root, UUID, pci);
	assert_string_equal(pci, "0000:5d:00.0");
	node_pci_of_nvidia(root, "", pci);
	assert_string_equal(pci, "0000:5d:00.0");
	node_pci_of_nvidia(root, "02345678-9abc-def0-1234-56789abcdef0", pci);
	assert_string_equal(pci, "");
	/* Of two, one is found only by its UUID. */
	write_file("proc/driver/nvidia/gpus/0000:6d:00.0/information",
		"GPU UUID: \t GPU-\?\?\?\?\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?\?\?\?\?\?\?\?\?\n");
	node_pci_of_nvidia(root, UUID, pci);
	assert_string_equal(pci, "0000:5d:00.0");
	node_pci_of_nvidia(root, "", pci);
	assert_string_equal(pci, "");
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(names_find_what_they_mean),
		cmocka_unit_test(the_default_is_hardware_that_works),
		cmocka_unit_test(lists_are_described),
		cmocka_unit_test(tables_have_what_is_known),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(uuids_are_written),
		WITH_ROOT(nodes_are_in_order),
		WITH_ROOT(nodes_have_addresses),
		WITH_ROOT(nvidia_tells_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
