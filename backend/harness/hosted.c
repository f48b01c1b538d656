/* The files of bare.h where there is an operating system: for kernel_cases.c under qemu-user. */
#include "bare.h"

#include <fcntl.h>
#include <unistd.h>

int bare_open(const char *path, int write) {
  return write ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : open(path, O_RDONLY);
}

uint32_t bare_read(int file, void *to, uint32_t n) {
  const ssize_t got = read(file, to, n);
  return got < 0 ? 0 : (uint32_t)got;
}

uint32_t bare_write(int file, const void *from, uint32_t n) {
  const ssize_t put = write(file, from, n);
  return put < 0 ? 0 : (uint32_t)put;
}

void bare_close(int file) { close(file); }
