/* SPDX-License-Identifier: MIT */
#include "render/virgl/server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "render/virgl/server_log.h"

/*
 * How this works
 *
 * The program is started with one end of a socket pair and an environment of its own: the Vulkan loader
 * in it takes the driver and the layer from there. It forks for each context and ends when the other end
 * of the socket is closed. A pidfd tells when it ended before that.
 *
 * A limit on Vulkan memory is kept by the layer (vulkan_layer/quota.h). The processes count in a file of ours that
 * they inherit, and that is never read here: they could write anything into it.
 */

#define LAYER_NAME "VK_LAYER_VIRTIO_GPUD_exportable_memory"

/* Of 8 bytes, one for each process: the program has 256 at most, and some may be about to end. */
#define COUNTERS    512
#define END_WAIT_MS 500

struct virgl_server {
	struct loop *loop;
	struct virgl_server_config config;
	char *layer; // of config
	int counters; // a memory file; -1: there is no limit
	struct virgl_server_log *log;
	pid_t pid; // 0: does not run
	int pidfd;
	struct loop_fd *ended;
};

extern char **environ;

const char *virgl_server_find(const struct virgl_server_config *config)
{
	static const char *const usual[] = {
		"/usr/libexec/virgl_render_server",
		"/usr/lib/virgl_render_server",
		"/usr/local/libexec/virgl_render_server",
	};

	if (config->path) {
		return access(config->path, X_OK) == 0 ? config->path : NULL;
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (access(usual[i], X_OK) == 0) {
			return usual[i];
		}
	}
	return NULL;
}

int virgl_server_complain(const struct virgl_server_config *config)
{
	log_error("Vulkan cannot be offered: there is no render server%s%s (on Debian: package "
		  "virgl-server; --render-server=PATH names one)",
		config->path ? " at " : "", config->path ? config->path : "");
	return -ENOENT;
}

/* Sealed, so that no process can make it a bus error for the others. Returns a descriptor or -errno. */
static int make_counters(void)
{
	int fd = memfd_create("virtio-gpud-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error = 0;

	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, COUNTERS * sizeof(uint64_t)) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		error = -errno;
		fd_close(&fd);
	}
	return error < 0 ? error : fd;
}

/* What the server keeps of its config. Returns 0 or -errno. */
static int keep_config(struct virgl_server *server, const struct virgl_server_config *config)
{
	server->config = *config;
	server->counters = -1;
	if (config->layer) {
		server->layer = strdup(config->layer);
		server->config.layer = server->layer;
	}
	if (config->layer && !server->layer) {
		return -ENOMEM;
	}
	if (config->max_memory > 0) {
		server->counters = make_counters();
		return server->counters < 0 ? server->counters : 0;
	}
	return 0;
}

struct virgl_server *virgl_server_create(
	struct loop *loop, const struct virgl_server_config *config)
{
	struct virgl_server *server = calloc(1, sizeof(*server));
	int error = server ? keep_config(server, config) : -ENOMEM;

	if (error < 0) {
		log_errno(LOG_ERROR, -error, "%s", "no memory for the render server");
		virgl_server_destroy(server);
		return NULL;
	}
	server->log = virgl_server_log_create(loop);
	if (!server->log) {
		virgl_server_destroy(server);
		return NULL;
	}
	server->loop = loop;
	server->pidfd = -1;
	return server;
}

/* Reaps the program. */
static void finish(struct virgl_server *server)
{
	int status = 0;

	loop_remove_fd(server->ended);
	server->ended = NULL;
	fd_close(&server->pidfd);
	while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR) {
	}
	server->pid = 0;
	if (WIFSIGNALED(status)) {
		log_debug("the render server was ended by signal %d", WTERMSIG(status));
	}
}

static void handle_ended(void *data, int events)
{
	struct virgl_server *server = data;

	(void)events;
	finish(server);
	log_warn(
		"the render server ended: there are no new Vulkan contexts (for a VM that is started "
		"anew there are, unless OpenGL is offered too: then the daemon must be)");
}

void virgl_server_destroy(struct virgl_server *server)
{
	if (!server) {
		return;
	}
	if (server->pid) {
		kill(server->pid, SIGTERM);
		finish(server);
	}
	virgl_server_log_destroy(server->log);
	fd_close(&server->counters);
	free(server->layer);
	free(server);
}

/* "NAME=value" of what the program is told beside our own environment; NULL entries end the list. */
struct additions {
	char *texts[6];
	size_t count;
};

static int add(struct additions *additions, const char *name, const char *value)
{
	if (asprintf(&additions->texts[additions->count], "%s=%s", name, value) < 0) {
		additions->texts[additions->count] = NULL;
		return -ENOMEM;
	}
	additions->count++;
	return 0;
}

/* Behind what the environment has, parted by a colon. */
static int add_behind(struct additions *additions, const char *name, const char *value)
{
	const char *old = getenv(name);
	char *text;
	int error;

	if (!old) {
		return add(additions, name, value);
	}
	if (asprintf(&text, "%s:%s", old, value) < 0) {
		return -ENOMEM;
	}
	error = add(additions, name, text);
	free(text);
	return error;
}

/* Where there is a VK_LAYER_PATH, the loader does not look at VK_ADD_LAYER_PATH. */
static int add_layer(struct additions *additions, const char *folder)
{
	const char *path = getenv("VK_LAYER_PATH") ? "VK_LAYER_PATH" : "VK_ADD_LAYER_PATH";
	int error = add_behind(additions, path, folder);

	return error < 0 ? error : add_behind(additions, "VK_INSTANCE_LAYERS", LAYER_NAME);
}

static int add_quota(struct additions *additions, int counters, uint64_t max_memory)
{
	char text[48];

	snprintf(text, sizeof(text), "%d:%" PRIu64, counters, max_memory);
	return add(additions, "VIRTIO_GPUD_MEMORY_QUOTA", text);
}

static int add_all(
	struct additions *additions, const struct virgl_server_config *config, int counters)
{
	int error = 0;

	if (config->driver) {
		/* The second one is for loaders before 1.3.207. */
		error = add(additions, "VK_DRIVER_FILES", config->driver);
		error = error < 0 ? error : add(additions, "VK_ICD_FILENAMES", config->driver);
	}
	if (error == 0 && config->layer) {
		error = add_layer(additions, config->layer);
	}
	if (error == 0 && config->layer && config->overrule) {
		error = add(additions, "VIRTIO_GPUD_MEMORY_LAYER", "always");
	}
	if (error == 0 && counters >= 0) {
		error = add_quota(additions, counters, config->max_memory);
	}
	return error;
}

int virgl_server_imitate(const struct virgl_server_config *config)
{
	struct additions additions = { .count = 0 };
	int counters = config->max_memory > 0 ? make_counters() : -1;
	int error = config->max_memory > 0 && counters < 0 ? counters
							   : add_all(&additions, config, counters);

	for (size_t i = 0; error == 0 && i < additions.count; i++) {
		error = putenv(additions.texts[i]) == 0 ? 0 : -errno; // takes the text
	}
	return error;
}

static bool is_added(const struct additions *additions, const char *variable)
{
	size_t len = strcspn(variable, "=") + 1;

	for (size_t i = 0; i < additions->count; i++) {
		if (strncmp(additions->texts[i], variable, len) == 0) {
			return true;
		}
	}
	return false;
}

/* Our own environment with the additions; the array is malloc'ed, its texts are not. */
static char **make_environment(const struct additions *additions)
{
	char **environment;
	size_t count = 0;

	while (environ[count]) {
		count++;
	}
	environment = calloc(count + additions->count + 1, sizeof(*environment));
	if (!environment) {
		return NULL;
	}
	count = 0;
	for (char **each = environ; *each; each++) {
		if (!is_added(additions, *each)) {
			environment[count++] = *each;
		}
	}
	memcpy(environment + count, additions->texts, additions->count * sizeof(*environment));
	return environment;
}

static int spawn(struct virgl_server *server, const char *path, int socket, char **environment)
{
	static const int handled[] = { SIGPIPE, SIGTERM, SIGINT, SIGBUS };
	char number[16];
	char *arguments[] = { (char *)path, "--socket-fd", number, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t signals;
	int error;

	snprintf(number, sizeof(number), "%d", socket);
	posix_spawn_file_actions_init(&actions);
	// onto itself: takes close-on-exec off in the child
	posix_spawn_file_actions_adddup2(&actions, socket, socket);
	if (server->counters >= 0) {
		posix_spawn_file_actions_adddup2(&actions, server->counters, server->counters);
	}
	posix_spawn_file_actions_adddup2(&actions, virgl_server_log_fd(server->log), STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attributes, &signals);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++) {
		sigaddset(&signals, handled[i]);
	}
	posix_spawnattr_setsigdefault(&attributes, &signals);
	/* A group of its own: an interrupt from the terminal is for the daemon, which ends it in order. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	error = posix_spawn(&server->pid, path, &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

static int spawn_with_environment(struct virgl_server *server, const char *path, int socket)
{
	struct additions additions = { .count = 0 };
	char **environment = NULL;
	int error = add_all(&additions, &server->config, server->counters);

	if (error == 0) {
		environment = make_environment(&additions);
		error = environment ? spawn(server, path, socket, environment) : -ENOMEM;
	}
	free(environment);
	for (size_t i = 0; i < additions.count; i++) {
		free(additions.texts[i]);
	}
	return error;
}

/* Without a pidfd (a seccomp filter of a container) nobody is told that the program ended. */
static void watch(struct virgl_server *server)
{
	server->pidfd = (int)syscall(SYS_pidfd_open, server->pid, 0);
	if (server->pidfd >= 0) {
		server->ended = loop_add_fd(
			server->loop, server->pidfd, LOOP_READABLE, handle_ended, server);
	}
}

int virgl_server_start(struct virgl_server *server)
{
	const char *path = virgl_server_find(&server->config);
	int ends[2];
	int error;

	if (!path) {
		return virgl_server_complain(&server->config); // it was there before
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		error = -errno;
	} else {
		error = spawn_with_environment(server, path, ends[1]);
		fd_close(&ends[1]);
		if (error < 0) {
			fd_close(&ends[0]);
		}
	}
	if (error < 0) {
		server->pid = 0;
		log_errno(LOG_ERROR, -error, "Vulkan cannot be offered: %s does not start", path);
		return error;
	}
	watch(server);
	return ends[0];
}

bool virgl_server_has_limit(const struct virgl_server *server)
{
	return server->config.max_memory > 0;
}

bool virgl_server_is_running(struct virgl_server *server)
{
	siginfo_t child = { .si_pid = 0 };

	/* The loop may not have told of its end yet. */
	if (server->pid &&
		waitid(P_PID, (id_t)server->pid, &child, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		child.si_pid) {
		handle_ended(server, 0);
	}
	return server->pid != 0;
}

void virgl_server_wait(const struct virgl_server *server)
{
	struct pollfd end = { .fd = server->pidfd, .events = POLLIN };

	if (server->pidfd >= 0) {
		poll(&end, 1, END_WAIT_MS);
	}
}

int virgl_server_process(const struct virgl_server *server)
{
	return server->pidfd;
}

/* proc(5), /proc/pid/task/tid/children: in the order in which they were made. */
pid_t virgl_server_last_child(const struct virgl_server *server)
{
	char path[64];
	pid_t last = 0;
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server->pid,
		(int)server->pid);
	file = server->pid ? fopen(path, "re") : NULL;
	while (file && fscanf(file, "%d", &pid) == 1) {
		last = pid;
	}
	if (file) {
		fclose(file);
	}
	return last;
}
