/* SPDX-License-Identifier: MIT */
/* The layer's bound on the memory of several processes, through the real loader, on a driver that has any amount. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

#include <cmocka.h>

#include "support/fake_vulkan.h"

#define STEP     UINT64_C(0x10000) // what the smallest object counts for
#define LIMIT    (16 * STEP)
#define COUNTERS 4
#define OOM      VK_ERROR_OUT_OF_DEVICE_MEMORY
#define DMA_BUF  VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT

static struct fake_vulkan *fake;
static VkInstance instance;
static VkPhysicalDevice gpu;
static VkDevice device;
static _Atomic uint64_t *counters;
static size_t counter_count;
static int counters_fd;

/* As the daemon makes them. */
static void make_counters(size_t count)
{
	const size_t size = count * sizeof(*counters);
	char text[64];

	counter_count = count;
	counters_fd = memfd_create("counters", MFD_CLOEXEC);
	assert_int_equal(ftruncate(counters_fd, (off_t)size), 0);
	counters = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, counters_fd, 0);
	assert_ptr_not_equal(counters, MAP_FAILED);
	snprintf(text, sizeof(text), "%d:%llu", counters_fd, (unsigned long long)LIMIT);
	setenv("VIRTIO_GPUD_MEMORY_QUOTA", text, 1);
}

static void drop_counters(void)
{
	munmap(counters, counter_count * sizeof(*counters));
	close(counters_fd);
	unsetenv("VIRTIO_GPUD_MEMORY_QUOTA");
}

static int set_up(void **data)
{
	(void)data;
	*fake = (struct fake_vulkan){
		.version = VK_API_VERSION_1_3,
		.has_host_extension = true,
		.alignment = 4096,
		.importable_types = 1u << FAKE_COHERENT,
	};
	make_counters(COUNTERS);
	return 0;
}

static void open_gpu(void)
{
	VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_3 };
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };
	uint32_t count = 1;

	assert_int_equal(vkCreateInstance(&info, NULL, &instance), VK_SUCCESS);
	assert_int_equal(vkEnumeratePhysicalDevices(instance, &count, &gpu), VK_SUCCESS);
}

static void make_device(const void *next, uint32_t extension_count)
{
	static const char *const extensions[] = { VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME };
	const float priority = 1;
	VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority };
	VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = next,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = extension_count,
		.ppEnabledExtensionNames = extensions };

	assert_int_equal(vkCreateDevice(gpu, &info, NULL, &device), VK_SUCCESS);
}

/* A device in which the layer does nothing but count. */
static void open_plain(void)
{
	open_gpu();
	make_device(NULL, 0);
}

/* One whose exported memory is the layer's. */
static void open_active(void)
{
	open_gpu();
	make_device(NULL, 1);
}

static void close_gpu(void)
{
	vkDestroyDevice(device, NULL);
	vkDestroyInstance(instance, NULL);
	device = VK_NULL_HANDLE;
	instance = VK_NULL_HANDLE;
}

static uint64_t taken(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < counter_count; i++) {
		sum += atomic_load(&counters[i]);
	}
	return sum;
}

/* Whatever a test leaves, its device gives back. */
static int tear_down(void **data)
{
	(void)data;
	close_gpu();
	assert_int_equal(taken(), 0);
	drop_counters();
	return 0;
}

static VkResult allocate_with(const void *next, VkDeviceSize size, VkDeviceMemory *memory)
{
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = next,
		.allocationSize = size,
		.memoryTypeIndex = FAKE_COHERENT };

	return vkAllocateMemory(device, &info, NULL, memory);
}

static VkResult allocate(VkDeviceSize size, VkDeviceMemory *memory)
{
	return allocate_with(NULL, size, memory);
}

static void test_no_more_than_the_limit(void **data)
{
	VkDeviceMemory memory[3];

	(void)data;
	open_plain();
	assert_int_equal(allocate(LIMIT - STEP, &memory[0]), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT - STEP);
	assert_int_equal(allocate(STEP + 1, &memory[1]), OOM);
	assert_int_equal(fake->allocations, 1);
	assert_int_equal(allocate(STEP, &memory[1]), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT);
	assert_int_equal(allocate(1, &memory[2]), OOM);
	vkFreeMemory(device, memory[0], NULL);
	vkFreeMemory(device, VK_NULL_HANDLE, NULL);
	assert_int_equal(taken(), STEP);
	assert_int_equal(allocate(LIMIT - STEP, &memory[0]), VK_SUCCESS);
	vkFreeMemory(device, memory[0], NULL);
	vkFreeMemory(device, memory[1], NULL);
	assert_int_equal(taken(), 0);
}

static void test_small_objects_are_no_way_around(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	open_plain();
	for (int i = 0; i < 16; i++) {
		assert_int_equal(allocate((VkDeviceSize)(i % 2), &memory), VK_SUCCESS);
	}
	assert_int_equal(allocate(1, &memory), OOM);
}

static void test_sizes_that_no_sum_holds(void **data)
{
	const VkDeviceSize sizes[] = { UINT64_MAX, UINT64_MAX - STEP + 2, UINT64_MAX - STEP + 1,
		UINT64_MAX / 2 + 1, LIMIT + 1 };
	VkDeviceMemory memory;

	(void)data;
	open_plain();
	assert_int_equal(allocate(STEP, &memory), VK_SUCCESS);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		VkDeviceMemory none;

		assert_int_equal(allocate(sizes[i], &none), OOM);
		assert_int_equal(taken(), STEP);
	}
	vkFreeMemory(device, memory, NULL);
}

static void test_what_the_driver_refuses_is_given_back(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	open_plain();
	fake->allocation_result = VK_ERROR_OUT_OF_HOST_MEMORY;
	assert_int_equal(allocate(LIMIT, &memory), VK_ERROR_OUT_OF_HOST_MEMORY);
	assert_int_equal(taken(), 0);
	fake->allocation_result = VK_SUCCESS;
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
}

static void test_a_device_gives_back(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	open_plain();
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
	vkDestroyDevice(device, NULL);
	assert_int_equal(taken(), 0);
	make_device(NULL, 0);
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
}

static void test_exported_and_imported_memory_counts(void **data)
{
	const VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, .handleTypes = DMA_BUF
	};
	VkImportMemoryFdInfoKHR imported = { .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = DMA_BUF };
	VkMemoryGetFdInfoKHR info = { .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.handleType = DMA_BUF };
	PFN_vkGetMemoryFdKHR get_fd;
	VkDeviceMemory memory;

	(void)data;
	open_active();
	get_fd = (PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(device, "vkGetMemoryFdKHR");
	assert_int_equal(allocate_with(&exported, 8 * STEP, &info.memory), VK_SUCCESS);
	assert_non_null(fake->host_pointer);
	assert_int_equal(taken(), 8 * STEP);
	assert_int_equal(get_fd(device, &info, &imported.fd), VK_SUCCESS);
	vkFreeMemory(device, info.memory, NULL);
	assert_int_equal(taken(), 0);
	/* It keeps the whole file alive. */
	assert_int_equal(allocate_with(&imported, 1, &memory), VK_SUCCESS);
	assert_int_equal(taken(), 8 * STEP);
	assert_int_equal(allocate_with(&exported, 9 * STEP, &info.memory), OOM);
	vkFreeMemory(device, memory, NULL);
	assert_int_equal(taken(), 0);
	assert_int_equal(fake->allocations, 0);
}

/* The layer's memory is as large as its driver's alignment wants it. */
static void test_alignment_counts(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	fake->alignment = 4 * STEP;
	open_active();
	assert_int_equal(allocate(STEP, &memory), VK_SUCCESS);
	assert_int_equal(taken(), 4 * STEP);
}

static void test_each_gpu_of_a_group_counts(void **data)
{
	VkPhysicalDevice gpus[2];
	const VkDeviceGroupDeviceCreateInfo group = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO,
		.physicalDeviceCount = 2,
		.pPhysicalDevices = gpus,
	};
	VkDeviceMemory memory;

	(void)data;
	open_gpu();
	gpus[0] = gpus[1] = gpu;
	make_device(&group, 0);
	assert_int_equal(allocate(9 * STEP, &memory), OOM);
	assert_int_equal(allocate(UINT64_MAX / 2, &memory), OOM);
	assert_int_equal(allocate(8 * STEP, &memory), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT);
}

/* A child does not outlive a test that fails. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	return pid;
}

/* Returns a process that has taken so much and will not give it back. */
static pid_t start_child(VkDeviceSize size)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork_child();
	if (pid == 0) {
		VkDeviceMemory memory;

		if (!device) {
			open_plain();
		}
		byte = allocate(size, &memory) == VK_SUCCESS ? 'y' : 'n';
		if (write(ends[1], &byte, 1) == 1) {
			pause();
		}
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	assert_int_equal(byte, 'y');
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_processes_share(void **data)
{
	VkDeviceMemory memory;
	pid_t pid;

	(void)data;
	pid = start_child(12 * STEP);
	open_plain();
	assert_int_equal(allocate(5 * STEP, &memory), OOM);
	assert_int_equal(allocate(4 * STEP, &memory), VK_SUCCESS);
	vkFreeMemory(device, memory, NULL);
	end_child(pid);
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT);
}

static void test_what_a_killed_process_took_comes_back(void **data)
{
	VkDeviceMemory memory;
	pid_t pid;

	(void)data;
	open_plain();
	assert_int_equal(allocate(STEP, &memory), VK_SUCCESS);
	pid = start_child(15 * STEP); // forked with a counter that is not its own
	assert_int_equal(taken(), LIMIT);
	assert_int_equal(allocate(STEP, &memory), OOM);
	end_child(pid);
	assert_int_equal(allocate(15 * STEP, &memory), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT);
}

static void test_more_processes_than_counters(void **data)
{
	VkDeviceMemory memory;
	pid_t pids[COUNTERS];

	(void)data;
	for (int i = 0; i < COUNTERS; i++) {
		pids[i] = start_child(1);
	}
	open_plain();
	assert_int_equal(allocate(1, &memory), OOM);
	assert_int_equal(fake->allocations, 0);
	for (int i = 0; i < COUNTERS; i++) {
		end_child(pids[i]);
	}
	assert_int_equal(allocate(1, &memory), VK_SUCCESS);
	vkFreeMemory(device, memory, NULL);
	/* The others' counters were not needed. */
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
	assert_int_equal(taken(), LIMIT);
}

static VkDeviceSize budget_of_heap(uint32_t index)
{
	VkPhysicalDeviceMemoryBudgetPropertiesEXT budgets = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
	};
	VkPhysicalDeviceMemoryProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budgets
	};

	vkGetPhysicalDeviceMemoryProperties2(gpu, &properties);
	assert_int_equal(properties.memoryProperties.memoryHeaps[index].size, LIMIT);
	assert_int_equal(budgets.heapUsage[index], fake->heap_usage[index]);
	return budgets.heapBudget[index];
}

/* By a process that is there, in its own counter and in those of others. */
static void test_spoilt_counters(void **data)
{
	VkDeviceMemory memory;
	pid_t pid;

	(void)data;
	pid = start_child(1);
	open_plain();
	assert_int_equal(allocate(1, &memory), VK_SUCCESS);
	for (int i = 0; i < COUNTERS; i++) {
		atomic_store(&counters[i], UINT64_C(1) << 63); // 0 in a sum of 64 bits
	}
	assert_int_equal(allocate(1, &memory), OOM);
	assert_int_equal(budget_of_heap(1), 1);
	end_child(pid);
	close_gpu();
	for (int i = 0; i < COUNTERS; i++) {
		atomic_store(&counters[i], 0);
	}
}

struct hammered {
	_Atomic unsigned int ready; // processes
	_Atomic uint64_t got; // bytes, by all
};

/* Each asks for more than half, so no two may have got it at one time. */
static int hammer(struct hammered *hammered)
{
	bool is_right = true;

	open_plain();
	atomic_fetch_add(&hammered->ready, 1);
	while (atomic_load(&hammered->ready) < COUNTERS) {
	}
	for (int i = 0; i < 60000; i++) {
		VkDeviceSize size = (VkDeviceSize)(9 + i % 8) * STEP;
		VkDeviceMemory memory;

		if (allocate(size, &memory) == VK_SUCCESS) {
			is_right &= atomic_fetch_add(&hammered->got, size) + size <= LIMIT;
			atomic_fetch_sub(&hammered->got, size);
			vkFreeMemory(device, memory, NULL);
		}
	}
	return is_right ? 0 : 1;
}

static void test_processes_at_once(void **data)
{
	struct hammered *hammered = mmap(
		NULL, sizeof(*hammered), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VkDeviceMemory memory;
	pid_t pids[COUNTERS];
	int status;

	(void)data;
	assert_ptr_not_equal(hammered, MAP_FAILED);
	drop_counters();
	make_counters(512); // a long sum gives the others time
	for (int i = 0; i < COUNTERS; i++) {
		pids[i] = fork_child();
		if (pids[i] == 0) {
			_exit(hammer(hammered));
		}
	}
	for (int i = 0; i < COUNTERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	munmap(hammered, sizeof(*hammered));
	open_plain();
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
}

/* What stderr gets while fn runs. */
static void catch_stderr(void (*fn)(void), char *text, size_t size)
{
	int file = memfd_create("stderr", 0);
	int kept = dup(STDERR_FILENO);
	ssize_t got;

	fflush(stderr);
	dup2(file, STDERR_FILENO);
	fn();
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	got = pread(file, text, size - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	close(file);
	close(kept);
}

static void be_refused_twice(void)
{
	VkDeviceMemory memory;

	open_plain();
	assert_int_equal(allocate(LIMIT + 1, &memory), OOM);
	assert_int_equal(allocate(LIMIT + 1, &memory), OOM);
}

static void test_the_first_refusal_is_said(void **data)
{
	const char *line = "no room for 1114112 bytes of Vulkan memory: of the VM's 1048576 "
			   "(--max-vulkan-memory) 1048576 are left; said once";
	const char *first;
	char text[4096];

	(void)data;
	catch_stderr(be_refused_twice, text, sizeof(text));
	first = strstr(text, line);
	assert_non_null(first);
	assert_null(strstr(first + 1, line));
}

static void test_heaps_and_budgets(void **data)
{
	VkPhysicalDeviceMemoryProperties properties;
	VkDeviceMemory memory;

	(void)data;
	open_plain();
	fake->heap_usage[0] = 2 * STEP;
	vkGetPhysicalDeviceMemoryProperties(gpu, &properties);
	assert_int_equal(properties.memoryHeaps[1].size, LIMIT);
	assert_int_equal(budget_of_heap(0), LIMIT);
	assert_int_equal(allocate(12 * STEP, &memory), VK_SUCCESS);
	assert_int_equal(budget_of_heap(0), 6 * STEP);
	assert_int_equal(budget_of_heap(1), 4 * STEP);
	vkFreeMemory(device, memory, NULL);
	assert_int_equal(allocate(LIMIT, &memory), VK_SUCCESS);
	assert_int_equal(budget_of_heap(1), 1);
}

static unsigned int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	unsigned int count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		count += strstr(line, "memfd:counters") != NULL;
	}
	fclose(maps);
	return count;
}

/* As another process sees it. */
static bool is_locked(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t pid = fork_child();
	int status;

	if (pid == 0) {
		_exit(fcntl(counters_fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status != 0;
}

static void test_instances_leave_nothing(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	for (int i = 0; i < 3; i++) {
		open_plain();
		assert_int_equal(allocate(1, &memory), VK_SUCCESS);
		assert_int_equal(count_mappings(), 2); // the layer's, and ours
		assert_true(is_locked());
		close_gpu();
		assert_int_equal(count_mappings(), 1);
		assert_false(is_locked());
	}
}

static VkResult try_instance(const char *variable)
{
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO };

	setenv("VIRTIO_GPUD_MEMORY_QUOTA", variable, 1);
	return vkCreateInstance(&info, NULL, &instance);
}

static void test_no_vulkan_without_the_counters(void **data)
{
	char zero[32], garbage[32];
	const char *const useless[] = { "", "3", "-1:4096", "999:4096", zero, garbage };

	(void)data;
	snprintf(zero, sizeof(zero), "%d:0", counters_fd);
	snprintf(garbage, sizeof(garbage), "%d:4096x", counters_fd);
	for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
		assert_int_equal(try_instance(useless[i]), VK_ERROR_INITIALIZATION_FAILED);
		instance = VK_NULL_HANDLE;
	}
}

static int load_fake(void **data)
{
	(void)data;
	fake = fake_vulkan_load();
	return fake ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_more_than_the_limit),
		TEST(test_small_objects_are_no_way_around),
		TEST(test_sizes_that_no_sum_holds),
		TEST(test_what_the_driver_refuses_is_given_back),
		TEST(test_a_device_gives_back),
		TEST(test_exported_and_imported_memory_counts),
		TEST(test_alignment_counts),
		TEST(test_each_gpu_of_a_group_counts),
		TEST(test_processes_share),
		TEST(test_what_a_killed_process_took_comes_back),
		TEST(test_more_processes_than_counters),
		TEST(test_spoilt_counters),
		TEST(test_processes_at_once),
		TEST(test_the_first_refusal_is_said),
		TEST(test_heaps_and_budgets),
		TEST(test_instances_leave_nothing),
		TEST(test_no_vulkan_without_the_counters),
	};

	return cmocka_run_group_tests(tests, load_fake, NULL);
}
