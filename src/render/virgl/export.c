/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/fd.h"
#include "render/virgl/egl_impl.h"

void egl_find_export(struct egl *egl)
{
	const char *list = egl->query_string(egl->display, EGL_EXTENSIONS);

	if (!egl_has_extension(list, "EGL_MESA_image_dma_buf_export") ||
		!egl_has_extension(list, "EGL_KHR_gl_texture_2D_image")) {
		return;
	}
	egl->create_image = (PFNEGLCREATEIMAGEKHRPROC)egl->get_proc_address("eglCreateImageKHR");
	egl->destroy_image = (PFNEGLDESTROYIMAGEKHRPROC)egl->get_proc_address("eglDestroyImageKHR");
	egl->query_export = (PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC)egl->get_proc_address(
		"eglExportDMABUFImageQueryMESA");
	egl->flush = (void (*)(void))egl->get_proc_address("glFlush");
	if (egl->create_image && egl->destroy_image && egl->query_export && egl->flush) {
		egl->export = (PFNEGLEXPORTDMABUFIMAGEMESAPROC)egl->get_proc_address(
			"eglExportDMABUFImageMESA");
	}
}

static int export_image(struct egl *egl, EGLImageKHR image, struct frame_dmabuf *dmabuf)
{
	int format, planes, fd = -1;
	EGLint stride, offset;
	EGLuint64KHR modifier;

	if (!egl->query_export(egl->display, image, &format, &planes, &modifier) || planes != 1 ||
		!egl->export(egl->display, image, &fd, &stride, &offset)) {
		return -ENOTSUP;
	}
	if (fd < 0 || offset != 0 || stride <= 0) {
		fd_close(&fd);
		return -ENOTSUP;
	}
	*dmabuf = (struct frame_dmabuf){
		.fd = fd,
		.stride = (uint32_t)stride,
		.format = (uint32_t)format,
		.modifier = modifier,
	};
	return 0;
}

int egl_export_texture(struct egl *egl, uint32_t texture, struct frame_dmabuf *dmabuf)
{
	EGLImageKHR image;
	int result;

	if (!egl->export) {
		return -ENOTSUP;
	}
	image = egl->create_image(egl->display, egl->root, EGL_GL_TEXTURE_2D_KHR,
		(EGLClientBuffer)(uintptr_t)texture, NULL);
	if (image == EGL_NO_IMAGE_KHR) {
		return -ENOTSUP;
	}
	result = export_image(egl, image, dmabuf);
	egl->destroy_image(egl->display, image);
	return result;
}

void egl_flush(struct egl *egl)
{
	if (egl->flush) {
		egl->flush();
	}
}
