/* Records, in order, what a process does to its database files and what it sends over sockets.

   Preloaded (LD_PRELOAD); FSYNC_RECORD_FILES is a part of the paths to watch, FSYNC_RECORD_TO the file that gets
   one record a call: kind, number of the file or socket, offset, size, then the bytes.

     'o' path of a watched file, once per descriptor and path     'w' bytes written at an offset
     't' length it was cut to                                     's' / 'S' a sync began / ended
     'u' path of a file that was removed                          'n' bytes sent over a socket

   A write and its record are one step under the lock, so the order is the one in which the kernel saw them. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FDS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static const char *watched;
static ino_t known[MOST_FDS]; /* which file a descriptor was, when its path was recorded */

__attribute__((constructor)) static void begin(void) {
    const char *to = getenv("FSYNC_RECORD_TO");
    watched = getenv("FSYNC_RECORD_FILES");
    if (to && watched)
        trace = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char kind, int fd, int64_t offset, const void *data, size_t size) {
    struct __attribute__((packed)) { char kind; int32_t fd; int64_t offset; uint64_t size; } head = {kind, fd, offset, size};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, data ? size : 0}};
    if (syscall(SYS_writev, trace, parts, 2) < 0)
        abort(); /* a record that is not whole would prove nothing */
}

/* Whether a descriptor is a watched file; its path is recorded when it is new.  Called under the lock. */
static int is_watched(int fd) {
    char link[64], path[1024];
    struct stat status;
    if (trace < 0 || fd < 0 || fd >= MOST_FDS || fd == trace)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0)
        return 0;
    path[size] = 0;
    if (!strstr(path, watched) || strstr(path, "-shm") || fstat(fd, &status))
        return 0;
    if (known[fd] != status.st_ino) {
        known[fd] = status.st_ino;
        record('o', fd, 0, path, (size_t)size);
    }
    return 1;
}

static ssize_t written(int fd, const void *data, size_t size, off64_t offset) {
    pthread_mutex_lock(&lock);
    int is_ours = is_watched(fd);
    if (!is_ours)
        pthread_mutex_unlock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, data, size, offset);
    if (is_ours) {
        if (done > 0)
            record('w', fd, offset, data, (size_t)done);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return written(fd, data, size, offset); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    pthread_mutex_lock(&lock);
    int is_ours = is_watched(fd);
    int64_t offset = is_ours ? lseek(fd, 0, SEEK_CUR) : 0;
    if (!is_ours)
        pthread_mutex_unlock(&lock);
    ssize_t done = syscall(SYS_write, fd, data, size);
    if (is_ours) {
        if (done > 0)
            record('w', fd, offset, data, (size_t)done);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

static int cut(int fd, off64_t size) {
    pthread_mutex_lock(&lock);
    int is_ours = is_watched(fd);
    int result = (int)syscall(SYS_ftruncate, fd, size);
    if (is_ours && result == 0)
        record('t', fd, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off64_t size) { return cut(fd, size); }
int ftruncate(int fd, off_t size) { return cut(fd, size); }

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (trace >= 0 && result == 0 && strstr(path, watched))
        record('u', -1, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return result;
}

/* The next file may get the same descriptor, and even the inode of one that was removed. */
int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MOST_FDS)
        known[fd] = 0;
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static void mark(char kind, int fd) {
    pthread_mutex_lock(&lock);
    if (is_watched(fd))
        record(kind, fd, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}

static int synced(int fd, long call) {
    mark('s', fd);
    int result = (int)syscall(call, fd);
    if (result == 0)
        mark('S', fd);
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* A socket of an event loop never blocks, so a send fits under the lock as well. */
ssize_t send(int fd, const void *data, size_t size, int flags) {
    pthread_mutex_lock(&lock);
    ssize_t done = sendto(fd, data, size, flags, NULL, 0);
    if (trace >= 0 && done > 0)
        record('n', fd, 0, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_sendmsg, fd, message, flags);
    ssize_t left = trace >= 0 ? done : 0;
    for (size_t i = 0; left > 0 && i < message->msg_iovlen; i++) {
        size_t size = message->msg_iov[i].iov_len < (size_t)left ? message->msg_iov[i].iov_len : (size_t)left;
        record('n', fd, 0, message->msg_iov[i].iov_base, size);
        left -= (ssize_t)size;
    }
    pthread_mutex_unlock(&lock);
    return done;
}
