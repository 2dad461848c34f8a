/* SPDX-License-Identifier: MIT */
/*
 * A GL program for tests and measurements: it draws off-screen with whatever GL it finds, without a window
 * system, checks what it drew, and says who drew it and how fast.
 *
 *	gl_program [--seconds=S] [--frames=N] [SCENE...]
 *
 * Scenes: info (nothing is drawn), draws (draw-call bound: 1000 small draws a frame, a uniform each), fill
 * (one quad with a costly fragment program), readback (a frame is read back each time), upload (a texture is
 * replaced each frame). Each prints "SCENE: FPS frames/s". Exit status 1: a wrong pixel, 2: no GL.
 */

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	WIDTH = 640,
	HEIGHT = 480,
	DRAWS = 1000,
	COLUMNS = 40, // of the grid of small squares
	TEXTURE = 512,
};

struct scene {
	const char *name;
	const char *fragment;
	void (*draw)(unsigned int frame);
	bool reads;
};

static GLint place_uniform, color_uniform;
static unsigned char pixels[WIDTH * HEIGHT * 4];
static unsigned char texels[TEXTURE * TEXTURE * 4];

static const char vertex_source[] =
	"attribute vec2 corner; uniform vec4 place; varying vec2 at;"
	"void main() { at = corner; gl_Position = vec4(corner * place.zw + place.xy, 0.0, 1.0); }";

static const char plain_source[] = "precision mediump float; uniform vec4 color;"
				   "void main() { gl_FragColor = color; }";

static const char costly_source[] =
	"precision mediump float; uniform vec4 color; varying vec2 at;"
	"void main() { float sum = 0.0; for (int i = 0; i < 64; i++)"
	" { sum += sin(at.x * float(i)) * cos(at.y * float(i)); }"
	" gl_FragColor = color + vec4(0.0, 0.0, clamp(sum, 0.0, 1.0) * 0.001, 0.0); }";

static const char texture_source[] =
	"precision mediump float; uniform sampler2D image; uniform vec4 color; varying vec2 at;"
	"void main() { gl_FragColor = texture2D(image, at * 0.5 + 0.5) * color; }";

static void fail(int status, const char *what)
{
	fprintf(stderr, "gl_program: %s (EGL 0x%x)\n", what, (unsigned int)eglGetError());
	exit(status);
}

static bool initialize(EGLDisplay display)
{
	return display != EGL_NO_DISPLAY && eglInitialize(display, NULL, NULL);
}

/* GL_PROGRAM_PLATFORM=device: EGL devices alone; else a surfaceless display first. */
static EGLDisplay open_display(void)
{
	PFNEGLGETPLATFORMDISPLAYEXTPROC get_display = (PFNEGLGETPLATFORMDISPLAYEXTPROC)
		eglGetProcAddress("eglGetPlatformDisplayEXT");
	PFNEGLQUERYDEVICESEXTPROC query = (PFNEGLQUERYDEVICESEXTPROC)eglGetProcAddress(
		"eglQueryDevicesEXT");
	const char *platform = getenv("GL_PROGRAM_PLATFORM");
	EGLDeviceEXT devices[8];
	EGLint count = 0;
	EGLDisplay display = EGL_NO_DISPLAY;

	if (get_display && !(platform && strcmp(platform, "device") == 0)) {
		display = get_display(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
		if (initialize(display)) {
			return display;
		}
	}
	if (get_display && query && query(8, devices, &count)) {
		for (EGLint i = 0; i < count; i++) {
			display = get_display(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
			if (initialize(display)) {
				return display;
			}
		}
	}
	fail(2, "no EGL display without a window system");
	return display;
}

static void make_current(void)
{
	static const EGLint config_attributes[] = { EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT,
		EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_NONE };
	static const EGLint context_attributes[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	EGLDisplay display = open_display();
	EGLConfig config;
	EGLContext context;
	EGLint count = 0;

	eglBindAPI(EGL_OPENGL_ES_API);
	if (!eglChooseConfig(display, config_attributes, &config, 1, &count) || count == 0) {
		fail(2, "no configuration");
	}
	context = eglCreateContext(display, config, EGL_NO_CONTEXT, context_attributes);
	if (context == EGL_NO_CONTEXT ||
		!eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context)) {
		fail(2, "no context");
	}
}

static void make_target(void)
{
	GLuint texture, framebuffer;

	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, WIDTH, HEIGHT, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE) {
		fail(2, "no framebuffer");
	}
	glViewport(0, 0, WIDTH, HEIGHT);
}

static void make_corners(void)
{
	static const float corners[] = { -1, -1, 1, -1, -1, 1, 1, 1 };
	GLuint buffer;

	glGenBuffers(1, &buffer);
	glBindBuffer(GL_ARRAY_BUFFER, buffer);
	glBufferData(GL_ARRAY_BUFFER, sizeof(corners), corners, GL_STATIC_DRAW);
	glEnableVertexAttribArray(0);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, 0, NULL);
}

static GLuint compile(GLenum type, const char *source)
{
	GLuint shader = glCreateShader(type);
	GLint good = 0;

	glShaderSource(shader, 1, &source, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
	if (!good) {
		fail(2, "a shader does not compile");
	}
	return shader;
}

static void use_program(const char *fragment)
{
	GLuint program = glCreateProgram();

	glAttachShader(program, compile(GL_VERTEX_SHADER, vertex_source));
	glAttachShader(program, compile(GL_FRAGMENT_SHADER, fragment));
	glBindAttribLocation(program, 0, "corner");
	glLinkProgram(program);
	glUseProgram(program);
	place_uniform = glGetUniformLocation(program, "place");
	color_uniform = glGetUniformLocation(program, "color");
}

/* The color of a frame: 16 steps, so that each value is exact. */
static unsigned char shade(unsigned int frame)
{
	return (unsigned char)(frame % 16 * 17);
}

static void set_color(unsigned int frame)
{
	glUniform4f(color_uniform, (float)shade(frame) / 255.0f, 1.0f, 0.0f, 1.0f);
}

static void draw_quad(unsigned int frame)
{
	set_color(frame);
	glUniform4f(place_uniform, 0, 0, 1, 1);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
}

static void draw_many(unsigned int frame)
{
	const float width = 2.0f / (float)COLUMNS;
	const float height = 2.0f / (float)(DRAWS / COLUMNS);

	for (unsigned int i = 0; i < DRAWS; i++) {
		float x = (float)(i % COLUMNS);
		float y = (float)(i / COLUMNS);

		set_color(frame);
		glUniform4f(place_uniform, -1.0f + (x + 0.5f) * width, -1.0f + (y + 0.5f) * height,
			width / 2, height / 2);
		glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
	}
}

static void draw_uploaded(unsigned int frame)
{
	if (frame == 0) {
		GLuint texture;

		glGenTextures(1, &texture);
		glBindTexture(GL_TEXTURE_2D, texture);
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
		memset(texels, 255, sizeof(texels));
	}
	glTexImage2D(
		GL_TEXTURE_2D, 0, GL_RGBA, TEXTURE, TEXTURE, 0, GL_RGBA, GL_UNSIGNED_BYTE, texels);
	draw_quad(frame);
}

static void check_pixels(const struct scene *scene, unsigned int frame)
{
	static const unsigned int places[] = { 0, 5 * WIDTH + 7, (HEIGHT - 1) * WIDTH + WIDTH / 2,
		WIDTH * HEIGHT - 1 };

	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const unsigned char *pixel = &pixels[places[i] * 4];

		if (pixel[0] != shade(frame) || pixel[1] != 255 || pixel[3] != 255) {
			fprintf(stderr,
				"gl_program: %s, frame %u: pixel %u is %u,%u,%u,%u, not %u,255,0,255\n",
				scene->name, frame, places[i], pixel[0], pixel[1], pixel[2],
				pixel[3], shade(frame));
			exit(1);
		}
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static const struct scene scenes[] = {
	{ "draws", plain_source, draw_many, false },
	{ "fill", costly_source, draw_quad, false },
	{ "readback", plain_source, draw_quad, true },
	{ "upload", texture_source, draw_uploaded, false },
};

/* At most two frames are under way, as with a screen. */
static void run_scene(const struct scene *scene, double seconds, unsigned int frames)
{
	double begin;
	unsigned int frame = 0;

	use_program(scene->fragment);
	scene->draw(frame);
	check_pixels(scene, frame++);
	begin = now();
	while (frames ? frame < frames : now() - begin < seconds) {
		scene->draw(frame);
		if (scene->reads) {
			check_pixels(scene, frame);
		} else if (frame % 2 == 0) {
			glFinish();
		} else {
			glFlush();
		}
		frame++;
	}
	glFinish();
	printf("%s: %.1f frames/s\n", scene->name, (frame - 1) / (now() - begin));
	scene->draw(frame);
	check_pixels(scene, frame);
}

static bool run_named(const char *name, double seconds, unsigned int frames)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (strcmp(scenes[i].name, name) == 0) {
			run_scene(&scenes[i], seconds, frames);
			return true;
		}
	}
	return strcmp(name, "info") == 0;
}

int main(int argc, char **argv)
{
	double seconds = 1;
	unsigned int frames = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	make_current();
	printf("renderer: %s\nvendor: %s\nversion: %s\n", (const char *)glGetString(GL_RENDERER),
		(const char *)glGetString(GL_VENDOR), (const char *)glGetString(GL_VERSION));
	make_target();
	make_corners();
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--seconds=", 10) == 0) {
			seconds = atof(argv[i] + 10);
		} else if (strncmp(argv[i], "--frames=", 9) == 0) {
			frames = (unsigned int)atoi(argv[i] + 9);
		} else if (!run_named(argv[i], seconds, frames)) {
			fprintf(stderr, "gl_program: there is no scene %s\n", argv[i]);
			return 2;
		}
	}
	return glGetError() == GL_NO_ERROR ? 0 : 1;
}
