/* SPDX-License-Identifier: MIT */
#include "render/virgl/node.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int compare_paths(const void *a, const void *b)
{
	return strverscmp(a, b);
}

size_t node_list(const char *root, char paths[NODE_MAX][64])
{
	char folder_path[PATH_MAX];
	const struct dirent *entry;
	size_t count = 0;
	DIR *folder;

	snprintf(folder_path, sizeof(folder_path), "%s/dev/dri", root);
	folder = opendir(folder_path);
	while (folder && count < NODE_MAX && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, "renderD", 7) == 0 && strlen(entry->d_name) < 32) {
			snprintf(paths[count++], 64, "/dev/dri/%.32s", entry->d_name);
		}
	}
	if (folder) {
		closedir(folder);
	}
	qsort(paths, count, sizeof(paths[0]), compare_paths);
	return count;
}

void node_describe(const char *root, char *text, size_t size)
{
	char paths[NODE_MAX][64];
	size_t count = node_list(root, paths);
	size_t used = 0;

	snprintf(text, size, "none");
	for (size_t i = 0; i < count && used < size; i++) {
		used += (size_t)snprintf(
			text + used, size - used, "%s%s", i ? " " : "", strrchr(paths[i], '/') + 1);
	}
}

/* The address in its one form; empty for a device that is on no PCI bus. */
static void take_pci(const char *text, char pci[GPU_PCI_SIZE])
{
	struct gpu_name name;

	pci[0] = '\0';
	if (gpu_name_parse(&name, text) == 0 && name.kind == GPU_NAME_PCI) {
		snprintf(pci, GPU_PCI_SIZE, "%.*s", GPU_PCI_SIZE - 1, name.text);
	}
}

static void pci_of_link(const char *path, char pci[GPU_PCI_SIZE])
{
	char target[PATH_MAX];

	pci[0] = '\0';
	if (realpath(path, target)) {
		take_pci(strrchr(target, '/') + 1, pci);
	}
}

void node_pci(const char *root, unsigned int major, unsigned int minor, char pci[GPU_PCI_SIZE])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/dev/char/%u:%u/device", root, major, minor);
	pci_of_link(path, pci);
}

void node_pci_of_file(const char *root, const char *path, char pci[GPU_PCI_SIZE])
{
	const char *slash = strrchr(path, '/');
	char whole[PATH_MAX];
	struct stat status;

	pci[0] = '\0';
	snprintf(whole, sizeof(whole), "%s%s", root, path);
	if (stat(whole, &status) == 0) {
		if (S_ISCHR(status.st_mode)) {
			node_pci(root, major(status.st_rdev), minor(status.st_rdev), pci);
		}
		return;
	}
	snprintf(
		whole, sizeof(whole), "%s/sys/class/drm/%s/device", root, slash ? slash + 1 : path);
	pci_of_link(whole, pci);
}

/* The UUID that the driver's file has, or the empty text. */
static void read_nvidia_uuid(const char *path, char uuid[GPU_UUID_SIZE])
{
	static const char head[] = "GPU UUID:";
	FILE *file = fopen(path, "re");
	struct gpu_name name;
	char line[256];

	uuid[0] = '\0';
	while (file && fgets(line, sizeof(line), file)) {
		char *value = line + strlen(head);

		if (strncmp(line, head, strlen(head)) != 0) {
			continue;
		}
		value += strspn(value, " \t");
		value[strcspn(value, " \t\n")] = '\0';
		if (gpu_name_parse(&name, value) == 0 && name.kind == GPU_NAME_UUID) {
			snprintf(uuid, GPU_UUID_SIZE, "%s", name.text);
		}
	}
	if (file) {
		fclose(file);
	}
}

void node_pci_of_nvidia(const char *root, const char *uuid, char pci[GPU_PCI_SIZE])
{
	char folder_path[PATH_MAX], path[PATH_MAX + 300], found[GPU_UUID_SIZE];
	char candidate[GPU_PCI_SIZE] = "", only[GPU_PCI_SIZE] = "";
	const struct dirent *entry;
	unsigned int count = 0;
	DIR *folder;

	pci[0] = '\0';
	snprintf(folder_path, sizeof(folder_path), "%s/proc/driver/nvidia/gpus", root);
	folder = opendir(folder_path);
	while (folder && (entry = readdir(folder))) {
		take_pci(entry->d_name, candidate);
		if (!candidate[0]) {
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s/information", folder_path, entry->d_name);
		read_nvidia_uuid(path, found);
		if (found[0] && strcmp(found, uuid) == 0) {
			memcpy(pci, candidate, GPU_PCI_SIZE);
		}
		/* One whose UUID is another's is another. */
		if (!found[0] || !uuid[0]) {
			memcpy(only, candidate, GPU_PCI_SIZE);
		}
		count++;
	}
	if (folder) {
		closedir(folder);
	}
	if (!pci[0] && count == 1) {
		memcpy(pci, only, GPU_PCI_SIZE);
	}
}
