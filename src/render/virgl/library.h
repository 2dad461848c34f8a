/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_LIBRARY_H
#define RENDER_VIRGL_LIBRARY_H

/*
 * libvirglrenderer, loaded when it is first asked for: a 2D device has no GL driver in its process. The
 * functions have the library's names without their prefix.
 */

/* Older headers hide what is stable since. */
#define VIRGL_RENDERER_UNSTABLE_APIS
#include <virglrenderer.h>

/* The library's box; its public header only names it. */
struct virgl_box {
	uint32_t x, y, z;
	uint32_t w, h, d;
};

struct virgl_library {
	void *handle;
	int (*init)(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks);
	void (*cleanup)(void *cookie);
	void (*poll)(void);
	int (*get_poll_fd)(void);
	void (*force_ctx_0)(void);
	void (*get_cap_set)(uint32_t set, uint32_t *max_version, uint32_t *max_size);
	void (*fill_caps)(uint32_t set, uint32_t version, void *caps);
	int (*context_create)(uint32_t handle, uint32_t name_len, const char *name);
	void (*context_destroy)(uint32_t handle);
	void (*ctx_attach_resource)(int context, int resource);
	void (*ctx_detach_resource)(int context, int resource);
	int (*submit_cmd)(void *buffer, int context, int dwords);
	int (*resource_create)(struct virgl_renderer_resource_create_args *args, struct iovec *iov,
		uint32_t iov_count);
	void (*resource_unref)(uint32_t resource);
	int (*resource_get_info)(int resource, struct virgl_renderer_resource_info *info);
	int (*resource_attach_iov)(int resource, struct iovec *iov, int iov_count);
	void (*resource_detach_iov)(int resource, struct iovec **iov, int *iov_count);
	int (*transfer_read_iov)(uint32_t resource, uint32_t context, uint32_t level,
		uint32_t stride, uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
		struct iovec *iov, int iov_count);
	int (*transfer_write_iov)(uint32_t resource, uint32_t context, int level, uint32_t stride,
		uint32_t layer_stride, struct virgl_box *box, uint64_t offset, struct iovec *iov,
		unsigned int iov_count);
	int (*create_fence)(int fence, uint32_t context);
	// NULL until virgl_library_load_venus
	int (*context_create_with_flags)(
		uint32_t context, uint32_t flags, uint32_t name_len, const char *name);
	int (*context_create_fence)(
		uint32_t context, uint32_t flags, uint32_t ring, uint64_t fence);
	void (*context_poll)(uint32_t context);
	int (*context_get_poll_fd)(uint32_t context);
	int (*resource_create_blob)(const struct virgl_renderer_resource_create_blob_args *args);
	int (*resource_get_map_info)(uint32_t resource, uint32_t *map_info);
	int (*resource_export_blob)(uint32_t resource, uint32_t *fd_type, int *fd);
	virgl_debug_callback_type (*set_debug_callback)(virgl_debug_callback_type callback);
};

/* Returns 0, or -ENOENT (logged, with what to install). */
int virgl_library_load(struct virgl_library *library);

/* Finds what Venus needs beside. Returns 0, or -ENOENT (logged) when the library is too old. */
int virgl_library_load_venus(struct virgl_library *library);

void virgl_library_unload(struct virgl_library *library);

#endif
