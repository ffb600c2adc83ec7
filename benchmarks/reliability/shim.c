/* Counts the calls of a process that change files under a folder; at one of them it dies or fails.

   LD_PRELOAD puts these functions before those of the C library, so that calls of C++ and Rust are
   seen like those of Python. `shim_arm` begins to count. Each call is written to a log, before it is
   made: its number, its kind, and the path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, KILL_HALF, FAIL, FAIL_ON }; /* what happens at the point; as in shim.py */

static char folder[PATH_MAX];
static long point, counted;
static int armed, action, error_number, log_file = -1;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

void shim_arm(const char *root, const char *log, int what, long at, int error) {
  snprintf(folder, sizeof folder, "%s", root);
  point = at, counted = 0, action = what, error_number = error;
  log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  armed = 1;
}

static int inside(const char *path) {
  size_t length = strlen(folder);
  return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static void of_descriptor(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
}

static void absolute(int at, const char *name, char *path) {
  char base[PATH_MAX] = "";
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
    return;
  }
  if (at != AT_FDCWD) of_descriptor(at, base);
  else if (!getcwd(base, sizeof base)) base[0] = 0;
  snprintf(path, 2 * PATH_MAX, "%s/%s", base, name);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Whether space is what the call needs: a full disk still lets files be removed and locked. */
static int takes_space(const char *kind) {
  return strcmp(kind, "unlink") && strcmp(kind, "rmdir") && strcmp(kind, "lock");
}

/* Counts a call. Returns 1 if it is to fail, 2 if it is to write half and die, 0 if it goes on. */
static int hit(const char *kind, const char *path) {
  if (!armed || !inside(path)) return 0;
  pthread_mutex_lock(&guard);
  long number = ++counted;
  char line[2 * PATH_MAX];
  int length = snprintf(line, sizeof line, "%ld\t%s\t%s\n", number, kind, path);
  syscall(SYS_write, log_file, line, length);
  pthread_mutex_unlock(&guard);
  if (number == point && action == KILL_HALF && !strcmp(kind, "write")) return 2;
  if (number == point && (action == KILL || action == KILL_HALF)) die();
  int fails = action == FAIL && number == point;
  fails |= action == FAIL_ON && number >= point && (error_number != ENOSPC || takes_space(kind));
  if (fails) errno = error_number;
  return fails;
}

static int hit_path(const char *kind, int at, const char *name) {
  char path[2 * PATH_MAX];
  if (!armed || !name) return 0;
  absolute(at, name, path);
  return hit(kind, path);
}

static int hit_descriptor(const char *kind, int fd) {
  char path[PATH_MAX];
  if (!armed) return 0;
  of_descriptor(fd, path);
  return hit(kind, path);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define CHANGES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags, last) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); MODE(flags, flags) \
    if (CHANGES(flags) && hit_path("open", AT_FDCWD, path)) return -1; \
    return real(path, flags, mode); }
#define OPENAT(name) \
  int name(int at, const char *path, int flags, ...) { \
    REAL(name); MODE(flags, flags) \
    if (CHANGES(flags) && hit_path("open", at, path)) return -1; \
    return real(at, path, flags, mode); }
#define FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    REAL(name); \
    if (strpbrk(mode, "wa+") && hit_path("open", AT_FDCWD, path)) return NULL; \
    return real(path, mode); }
#define CALL(type, name, hits, parameters, arguments) \
  type name parameters { REAL(name); if (hits) return -1; return real arguments; }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(write);
  int what = hit_descriptor("write", fd);
  if (what == 2) real(fd, bytes, size / 2), die();
  return what ? -1 : real(fd, bytes, size);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  REAL(pwrite64);
  int what = hit_descriptor("write", fd);
  if (what == 2) real(fd, bytes, size / 2, at), die();
  return what ? -1 : real(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  return pwrite64(fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
  REAL(writev);
  int what = hit_descriptor("write", fd);
  if (what == 2) write(fd, parts[0].iov_base, parts[0].iov_len / 2), die();
  return what ? -1 : real(fd, parts, number);
}

CALL(ssize_t, sendfile64, hit_descriptor("write", to), (int to, int from, off64_t *at, size_t n),
     (to, from, at, n))
CALL(ssize_t, sendfile, hit_descriptor("write", to), (int to, int from, off_t *at, size_t n),
     (to, from, at, n))
CALL(ssize_t, copy_file_range, hit_descriptor("write", to),
     (int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags), (from, a, to, b, n, flags))
CALL(int, fsync, hit_descriptor("fsync", fd), (int fd), (fd))
CALL(int, fdatasync, hit_descriptor("fsync", fd), (int fd), (fd))
CALL(int, ftruncate, hit_descriptor("truncate", fd), (int fd, off_t size), (fd, size))
CALL(int, ftruncate64, hit_descriptor("truncate", fd), (int fd, off64_t size), (fd, size))
CALL(int, fallocate64, hit_descriptor("truncate", fd), (int fd, int m, off64_t a, off64_t n),
     (fd, m, a, n))
CALL(int, truncate, hit_path("truncate", AT_FDCWD, path), (const char *path, off_t n), (path, n))
CALL(int, truncate64, hit_path("truncate", AT_FDCWD, path), (const char *path, off64_t n), (path, n))
CALL(int, rename, hit_path("rename", AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, renameat, hit_path("rename", b, to), (int a, const char *from, int b, const char *to),
     (a, from, b, to))
CALL(int, renameat2, hit_path("rename", b, to),
     (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
CALL(int, link, hit_path("link", AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, symlink, hit_path("link", AT_FDCWD, to), (const char *from, const char *to), (from, to))
CALL(int, unlink, hit_path("unlink", AT_FDCWD, path), (const char *path), (path))
CALL(int, unlinkat, hit_path(flags & AT_REMOVEDIR ? "rmdir" : "unlink", at, path),
     (int at, const char *path, int flags), (at, path, flags))
CALL(int, rmdir, hit_path("rmdir", AT_FDCWD, path), (const char *path), (path))
CALL(int, mkdir, hit_path("mkdir", AT_FDCWD, path), (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, hit_path("mkdir", at, path), (int at, const char *path, mode_t mode),
     (at, path, mode))
CALL(int, flock, !(how & LOCK_UN) && hit_descriptor("lock", fd), (int fd, int how), (fd, how))
