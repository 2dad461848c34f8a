/* SPDX-License-Identifier: MIT */
#include "render/virgl/reader.h"

#include <GL/glcorearb.h>
#include <assert.h>
#include <drm_fourcc.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "frame/frame.h"

/*
 * How this works
 *
 * All GL contexts share their objects, so a context that is current in our thread reads any texture by
 * its name. GL keeps an order between contexts only by fences: a read takes one of the context that is
 * current when it begins, and one of each that was current since the last read, made when it was left. The thread waits for them and then copies, straight to where the pixels are wanted.
 *
 * libvirglrenderer keeps track of what is current in the loop's thread: nothing here changes that.
 *
 * A read is the thread's from virgl_read_begin on, and comes back through `ended`. `mutex` guards the two
 * lists, `copying` and the reads' states; what else a read holds belongs to one thread at a time. One that
 * is given up while the thread waits for its fences is left to the thread, which does not look at the
 * texture then. While the texture is being read, giving up waits: so a texture's name can be used again
 * as soon as its reads were given up.
 */

/* Contexts that drew since the last read; another's work has been flushed long before. */
#define FENCES_MAX 16

/* The thread looks this often whether it shall go on waiting for a GPU that may never end. */
#define LOOK_NS UINT64_C(10000000)

/* After so many it takes the GPU for lost: 10 s, longer than a driver needs to reset one. */
#define LOOKS_MAX 1000

#define FORGET_NS UINT64_C(1000000000)

struct fence {
	void *context; // as virgl_reader_note_switch names it
	GLsync sync;
};

struct fences {
	struct fence all[FENCES_MAX];
	size_t count;
};

enum read_state {
	READ_NEW,
	READ_QUEUED, // with the thread, which has not touched the texture
	READ_COPYING,
	READ_ENDED,
	READ_GIVEN_UP, // the thread frees it
};

struct virgl_read {
	struct list link;
	struct virgl_reader *reader;
	virgl_read_fn done;
	void *data;
	enum read_state state;
	struct virgl_read_target target;
	struct fences fences;
	int result;
};

struct gl {
	PFNGLFENCESYNCPROC FenceSync;
	PFNGLCLIENTWAITSYNCPROC ClientWaitSync;
	PFNGLDELETESYNCPROC DeleteSync;
	PFNGLFLUSHPROC Flush;
	PFNGLGETERRORPROC GetError;
	PFNGLGENFRAMEBUFFERSPROC GenFramebuffers;
	PFNGLBINDFRAMEBUFFERPROC BindFramebuffer;
	PFNGLFRAMEBUFFERTEXTURE2DPROC FramebufferTexture2D;
	PFNGLCHECKFRAMEBUFFERSTATUSPROC CheckFramebufferStatus;
	PFNGLPIXELSTOREIPROC PixelStorei;
	PFNGLREADPIXELSPROC ReadPixels;
};

static const struct gl_function {
	const char *name;
	size_t place; // in struct gl, bytes
} gl_functions[] = {
#define FUNCTION(name) { "gl" #name, offsetof(struct gl, name) }
	FUNCTION(FenceSync),
	FUNCTION(ClientWaitSync),
	FUNCTION(DeleteSync),
	FUNCTION(Flush),
	FUNCTION(GetError),
	FUNCTION(GenFramebuffers),
	FUNCTION(BindFramebuffer),
	FUNCTION(FramebufferTexture2D),
	FUNCTION(CheckFramebufferStatus),
	FUNCTION(PixelStorei),
	FUNCTION(ReadPixels),
#undef FUNCTION
};

struct virgl_reader {
	struct egl *egl;
	struct gl gl;
	void *context; // current in the thread
	struct loop_waker *waker;
	pthread_t thread;
	bool running;

	struct fences fences; // of contexts that are not current
	void *current; // in the loop's thread; NULL before the first switch

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool stop;
	struct list queued; // virgl_read.link, in order
	struct list ended; // virgl_read.link, to be told
};

static void delete_fences(const struct gl *gl, struct fences *fences)
{
	for (size_t i = 0; i < fences->count; i++) {
		gl->DeleteSync(fences->all[i].sync);
	}
	fences->count = 0;
}

static void remove_fence(const struct gl *gl, struct fences *fences, size_t index)
{
	gl->DeleteSync(fences->all[index].sync);
	fences->count--;
	memmove(fences->all + index, fences->all + index + 1,
		(fences->count - index) * sizeof(fences->all[0]));
}

/*
 * The last fence of a context stands for all before it. It is flushed here: NVIDIA's driver does not when another
 * context is made current, and whoever waits in another context would do so for ever.
 */
static int add_fence(const struct gl *gl, struct fences *fences, void *context)
{
	GLsync sync = gl->FenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	size_t index = 0;

	if (!sync) {
		return -EIO;
	}
	gl->Flush();
	while (index < fences->count && fences->all[index].context != context) {
		index++;
	}
	if (index < fences->count) {
		remove_fence(gl, fences, index);
	} else if (fences->count == FENCES_MAX) {
		remove_fence(gl, fences, 0);
	}
	fences->all[fences->count++] = (struct fence){ context, sync };
	return 0;
}

/* Has the thread something else to do than to wait for this read? */
static bool is_unwanted(struct virgl_read *read)
{
	struct virgl_reader *reader = read->reader;
	bool unwanted;

	pthread_mutex_lock(&reader->mutex);
	unwanted = reader->stop || read->state == READ_GIVEN_UP;
	pthread_mutex_unlock(&reader->mutex);
	return unwanted;
}

static int wait_for(struct virgl_read *read, GLsync sync)
{
	const struct gl *gl = &read->reader->gl;
	GLenum state;

	for (int looks = 1; (state = gl->ClientWaitSync(sync, 0, LOOK_NS)) == GL_TIMEOUT_EXPIRED;
		looks++) {
		if (is_unwanted(read)) {
			return -ECANCELED;
		}
		if (looks == LOOKS_MAX) {
			return -ETIMEDOUT;
		}
	}
	return state == GL_WAIT_FAILED ? -EIO : 0;
}

static int wait_for_fences(struct virgl_read *read)
{
	int result = is_unwanted(read) ? -ECANCELED : read->result;

	for (size_t i = 0; i < read->fences.count && result == 0; i++) {
		result = wait_for(read, read->fences.all[i].sync);
	}
	delete_fences(&read->reader->gl, &read->fences);
	return result;
}

/* A format names the parts of a little-endian word from its high end, GL's packed types likewise. */
static void gl_format(uint32_t format, GLenum *order, GLenum *type)
{
	bool packed = format == DRM_FORMAT_BGRA8888 || format == DRM_FORMAT_BGRX8888 ||
		format == DRM_FORMAT_RGBA8888 || format == DRM_FORMAT_RGBX8888;
	bool red_first = format == DRM_FORMAT_ABGR8888 || format == DRM_FORMAT_XBGR8888 ||
		format == DRM_FORMAT_RGBA8888 || format == DRM_FORMAT_RGBX8888;

	*order = red_first ? GL_RGBA : GL_BGRA;
	*type = packed ? GL_UNSIGNED_INT_8_8_8_8 : GL_UNSIGNED_BYTE;
}

static void swap_bytes(uint8_t *a, uint8_t *b, size_t size)
{
	uint8_t piece[4096];

	while (size > 0) {
		size_t part = size < sizeof(piece) ? size : sizeof(piece);

		memcpy(piece, a, part);
		memcpy(a, b, part);
		memcpy(b, piece, part);
		a += part;
		b += part;
		size -= part;
	}
}

static void turn_over(uint8_t *first, size_t stride, const struct rect *rect)
{
	uint8_t *last = first + (rect->height - 1) * stride;

	for (; first < last; first += stride, last -= stride) {
		swap_bytes(first, last, (size_t)rect->width * FRAME_PIXEL_SIZE);
	}
}

/* The framebuffer is bound; the texture stays attached no longer than this. */
static int copy(const struct gl *gl, const struct virgl_read_target *target)
{
	const struct rect *rect = &target->rect;
	uint32_t row = target->upside_down ? target->height - rect->y - rect->height : rect->y;
	uint8_t *to = target->pixels + rect->y * target->stride +
		(size_t)rect->x * FRAME_PIXEL_SIZE;
	GLenum order, type;
	int result = -EIO;

	gl_format(target->format, &order, &type);
	gl->GetError(); // of what came before
	gl->FramebufferTexture2D(
		GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, target->texture, 0);
	if (gl->CheckFramebufferStatus(GL_READ_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE) {
		gl->PixelStorei(GL_PACK_ROW_LENGTH, (GLint)(target->stride / FRAME_PIXEL_SIZE));
		gl->ReadPixels((GLint)rect->x, (GLint)row, (GLsizei)rect->width,
			(GLsizei)rect->height, order, type, to);
		result = gl->GetError() == GL_NO_ERROR ? 0 : -EIO;
	}
	gl->FramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, 0, 0);
	if (result == 0 && target->upside_down) {
		turn_over(to, target->stride, rect);
	}
	return result;
}

/* Takes the read to `copying`; false, and it is freed, when it was given up. */
static bool begin_copy(struct virgl_read *read)
{
	struct virgl_reader *reader = read->reader;
	bool wanted;

	pthread_mutex_lock(&reader->mutex);
	wanted = read->state == READ_QUEUED;
	if (wanted) {
		read->state = READ_COPYING;
	}
	pthread_mutex_unlock(&reader->mutex);
	if (!wanted) {
		free(read);
	}
	return wanted;
}

static void end_copy(struct virgl_read *read)
{
	struct virgl_reader *reader = read->reader;

	pthread_mutex_lock(&reader->mutex);
	read->state = READ_ENDED;
	list_append(&reader->ended, &read->link);
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->mutex);
	loop_wake(reader->waker);
}

static void run_read(struct virgl_read *read)
{
	read->result = wait_for_fences(read);
	if (!begin_copy(read)) {
		return;
	}
	if (read->result == 0) {
		read->result = copy(&read->reader->gl, &read->target);
	}
	end_copy(read);
}

/* Waits for one; NULL: stop. */
static struct virgl_read *take_read(struct virgl_reader *reader)
{
	struct virgl_read *read = NULL;
	struct list *link = NULL;

	pthread_mutex_lock(&reader->mutex);
	while (!reader->stop && !(link = list_first(&reader->queued))) {
		pthread_cond_wait(&reader->changed, &reader->mutex);
	}
	if (link) {
		list_remove(link);
		read = container_of(link, struct virgl_read, link);
	}
	pthread_mutex_unlock(&reader->mutex);
	return read;
}

static void *run_thread(void *data)
{
	struct virgl_reader *reader = data;
	const struct gl *gl = &reader->gl;
	struct virgl_read *read;
	GLuint framebuffer = 0;

	if (egl_make_current(reader->egl, reader->context) == 0) {
		gl->GenFramebuffers(1, &framebuffer);
		gl->BindFramebuffer(GL_READ_FRAMEBUFFER, framebuffer);
	}
	while ((read = take_read(reader))) {
		read->result = framebuffer ? read->result : -EIO;
		run_read(read);
	}
	egl_make_current(reader->egl, NULL);
	return NULL;
}

static struct virgl_read *take_ended(struct virgl_reader *reader)
{
	struct list *link;

	pthread_mutex_lock(&reader->mutex);
	link = list_first(&reader->ended);
	if (link) {
		list_remove(link);
	}
	pthread_mutex_unlock(&reader->mutex);
	return link ? container_of(link, struct virgl_read, link) : NULL;
}

/* One by one: what is told may give others up. */
static void handle_wake(void *data)
{
	struct virgl_reader *reader = data;
	struct virgl_read *read;

	while ((read = take_ended(reader))) {
		const struct virgl_read ended = *read;

		free(read);
		ended.done(ended.data, ended.result);
	}
}

static bool find_functions(struct virgl_reader *reader)
{
	for (size_t i = 0; i < sizeof(gl_functions) / sizeof(gl_functions[0]); i++) {
		void (*function)(void) = egl_function(reader->egl, gl_functions[i].name);

		if (!function) {
			log_info("VirGL: the driver has no %s", gl_functions[i].name);
			return false;
		}
		memcpy((char *)&reader->gl + gl_functions[i].place, &function, sizeof(function));
	}
	return true;
}

/*
 * With NVIDIA's driver (580.159, on an H200) each read of 8 MiB in this thread took about half a second, all of it
 * inside the driver, while one in the thread that draws takes one millisecond. Why was not found out.
 */
static bool reads_well(const struct egl *egl)
{
	if (strncmp(egl_gpu(egl)->driver, "NVIDIA", 6) == 0) {
		log_info("VirGL: NVIDIA's driver is slow in a second thread");
		return false;
	}
	return true;
}

/* Signals are for the loop's thread. */
static int start_thread(struct virgl_reader *reader)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&reader->thread, NULL, run_thread, reader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	reader->running = error == 0;
	return error;
}

struct virgl_reader *virgl_reader_open(struct loop *loop, struct egl *egl)
{
	struct virgl_reader *reader = calloc(1, sizeof(*reader));

	if (!reader) {
		return NULL;
	}
	reader->egl = egl;
	pthread_mutex_init(&reader->mutex, NULL);
	pthread_cond_init(&reader->changed, NULL);
	list_init(&reader->queued);
	list_init(&reader->ended);
	reader->context = egl_create_context(egl, 3, 2);
	reader->waker = loop_add_waker(loop, handle_wake, reader);
	if (!reads_well(egl) || !reader->context || !reader->waker || !find_functions(reader) ||
		start_thread(reader) != 0) {
		log_info("VirGL: frames are read back by the thread that draws, which waits for "
			 "the GPU");
		virgl_reader_close(reader);
		return NULL;
	}
	return reader;
}

/* What the stopped thread has not come to. */
static void drop_given_up(struct virgl_reader *reader)
{
	struct list *link;

	while ((link = list_first(&reader->queued))) {
		struct virgl_read *read = container_of(link, struct virgl_read, link);

		assert(read->state == READ_GIVEN_UP);
		list_remove(link);
		delete_fences(&reader->gl, &read->fences);
		free(read);
	}
}

void virgl_reader_close(struct virgl_reader *reader)
{
	if (!reader) {
		return;
	}
	if (reader->running) {
		pthread_mutex_lock(&reader->mutex);
		reader->stop = true;
		pthread_cond_broadcast(&reader->changed);
		pthread_mutex_unlock(&reader->mutex);
		pthread_join(reader->thread, NULL);
	}
	drop_given_up(reader);
	assert(list_is_empty(&reader->ended));
	loop_remove_waker(reader->waker);
	/* The fences go with their contexts. */
	if (reader->context) {
		egl_destroy_context(reader->egl, reader->context);
	}
	pthread_cond_destroy(&reader->changed);
	pthread_mutex_destroy(&reader->mutex);
	free(reader);
}

void virgl_reader_note_switch(struct virgl_reader *reader, void *next)
{
	if (reader->current != next) {
		add_fence(&reader->gl, &reader->fences, reader->current);
		reader->current = next;
	}
}

void virgl_reader_forget(struct virgl_reader *reader, void *context)
{
	for (size_t i = 0; i < reader->fences.count; i++) {
		if (reader->fences.all[i].context == context) {
			reader->gl.ClientWaitSync(reader->fences.all[i].sync, 0, FORGET_NS);
			remove_fence(&reader->gl, &reader->fences, i);
			return;
		}
	}
}

struct virgl_read *virgl_read_create(struct virgl_reader *reader, virgl_read_fn done, void *data)
{
	struct virgl_read *read = calloc(1, sizeof(*read));

	if (read) {
		list_init(&read->link);
		read->reader = reader;
		read->done = done;
		read->data = data;
		read->state = READ_NEW;
	}
	return read;
}

void virgl_read_begin(struct virgl_read *read, const struct virgl_read_target *target)
{
	struct virgl_reader *reader = read->reader;

	assert(read->state == READ_NEW);
	read->target = *target;
	read->result = add_fence(&reader->gl, &reader->fences, reader->current);
	read->fences = reader->fences;
	reader->fences.count = 0;

	pthread_mutex_lock(&reader->mutex);
	read->state = READ_QUEUED;
	list_append(&reader->queued, &read->link);
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->mutex);
}

void virgl_read_wait(struct virgl_read *read)
{
	struct virgl_reader *reader = read->reader;

	pthread_mutex_lock(&reader->mutex);
	while (read->state == READ_QUEUED || read->state == READ_COPYING) {
		pthread_cond_wait(&reader->changed, &reader->mutex);
	}
	pthread_mutex_unlock(&reader->mutex);
}

void virgl_read_cancel(struct virgl_read *read)
{
	struct virgl_reader *reader = read ? read->reader : NULL;
	bool is_ours;

	if (!read) {
		return;
	}
	pthread_mutex_lock(&reader->mutex);
	while (read->state == READ_COPYING) {
		pthread_cond_wait(&reader->changed, &reader->mutex);
	}
	is_ours = read->state == READ_NEW || read->state == READ_ENDED;
	if (is_ours) {
		list_remove(&read->link);
	} else {
		read->state = READ_GIVEN_UP;
	}
	pthread_mutex_unlock(&reader->mutex);
	if (is_ours) {
		free(read);
	}
}
